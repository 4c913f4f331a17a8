"""Train state, optimiser, the two steps as pure functions, and the loop that calls them."""
