"""The one alphabet of dimensions. Tensors of rank one or more carry their shape in the name: `x_BTD`, `state_BHPV`.

A letter has one meaning in the whole package; einsum subscripts use the same letters. Law symbols (N, D, C, L, S) stand
bare only inside `laws/`, where they mean parameters, tokens, FLOPs, loss and state.
"""

ALPHABET = {
    "B": "batch",
    "T": "positions",
    "S": "source (key) positions",
    "D": "model width",
    "H": "heads",
    "G": "key-value heads",
    "K": "key size per head",
    "V": "value size per head",
    "P": "expanded key size, after the feature map",
    "N": "chunks",
    "C": "positions in a chunk",
    "F": "feed-forward width",
    "E": "experts",
    "U": "vocabulary",
    "L": "layers",
    "W": "window, or convolution taps",
    "R": "recurrent state size of a state-space channel",
    "I": "inner width: channels of a state-space mixer",
    "M": "rows of a flattened batch: batch times positions, or batch times heads",
}
