"""The Lab screen: runs of training, their curves and samples."""
