"""Putting the corpus together: plan, clips, parallel builder, datasheet, contact sheets and the example."""
