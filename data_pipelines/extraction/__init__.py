"""From raw picture and sound to the arrays of a clip record. Importing this package loads nothing heavy."""
