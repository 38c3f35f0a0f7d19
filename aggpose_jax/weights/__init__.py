"""Reading and writing the weights of networks: state dicts, weight files, transfer between networks, export."""
