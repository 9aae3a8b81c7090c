"""`python -m recorder_sync` is `recorder-sync`."""

from recorder_sync.cli import main

main()
