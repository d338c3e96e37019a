"""`python -m softcam`, and with it `torchrun -m softcam`: the same as the command `softcam`."""

from softcam.cli.app import main

if __name__ == "__main__":
    main()
