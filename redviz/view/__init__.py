"""What redviz draws: strips and curves in the browser, static figures and reports. Nothing here computes a credit."""
