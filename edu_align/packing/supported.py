"""Which networks the shared-prefix forward is exact for, and its sizes. Light, so that a plan can ask."""

BLOCK = 256  # nodes of one block of attention: fewer compute fewer masked cells, more make larger matrix products
# Rows join a tree when at least this share of the shorter one is common. Less (a system prompt, say) is not worth the
# wider attention mask.
SHARED_SHARE = 0.5
# Decoders that take position ids and a 4D mask, and compute nothing else across positions.
SUPPORTED = ("llama", "mistral", "qwen2", "qwen3")
KEPT_LOGITS = 2**27  # bytes of logits of one forward pass that a CPU's head keeps for the backward pass
KEPT_WEIGHTS = 2**25  # bytes of probabilities that one layer's block attention keeps for the backward pass
