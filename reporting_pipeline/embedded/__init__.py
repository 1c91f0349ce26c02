"""MongoDB- and S3-protocol servers from pip wheels, as separate processes. Only the CLI starts them."""
