"""The process a run trains in: device, threads, memory, speed."""
