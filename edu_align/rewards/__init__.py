"""What a reply is worth to `trainer=grpo`: one reward a file, all of them in `registry`."""
