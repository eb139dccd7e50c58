"""An outside view: EleutherAI's lm-evaluation-harness, fed from local files without the questions of the training."""
