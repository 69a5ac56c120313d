"""What the machine gives: files, memory, devices, processes, signals, the terminal, downloads."""
