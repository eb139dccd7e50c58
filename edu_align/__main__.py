"""`python -m edu_align`: the commands, as `edu-align` without arguments lists them."""

from edu_align.cli import main

if __name__ == "__main__":
    main()
