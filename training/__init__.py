"""The scripts that made the weights in redviz/embedded; nothing imports them but benchmarks and tests."""
