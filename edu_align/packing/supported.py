"""Which networks the shared-prefix forward is exact for, and its sizes. Light, so that a plan can ask."""

BLOCK = 256  # nodes of one block of attention: fewer compute fewer masked cells, more make larger matrix products
# Decoders that take position ids and a 4D mask, and compute nothing else across positions.
SUPPORTED = ("llama", "mistral", "qwen2", "qwen3")
KEPT_LOGITS = 2**27  # bytes of logits of one forward pass that a CPU's head keeps for the backward pass
