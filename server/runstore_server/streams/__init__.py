"""What is followed or pipelined: the loops behind streaming calls of both transports."""
