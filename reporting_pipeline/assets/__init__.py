"""The software-defined assets of one cadence and the batch mechanism they share."""
