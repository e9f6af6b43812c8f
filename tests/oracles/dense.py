"""Every operator from its definition, in numpy and float64: T entry by entry, then y_i = Σ_j T_ij V_j.

No scan, no transform, no state, no block of a band. The definitions are those of arXiv 2411.17800, §2, with
the choices of ``docs/decisions/``; of star_core only the text of genomes is read.

Legend: L length, D channels, H heads, E channels per head, N state, S channels of a feature group.
"""

import numpy as np

from tests.oracles.comparison import BASE, EPSILON, WINDOW, pairs_of


def logits(liv, weights, tokens_L, width, head_dim):
    """Logits of a language model of one LIV.

    Args:
        liv: Its class.
        weights: Of the model, by name, as arrays.
        tokens_L: Token ids.
        width: Channels of the residual stream.
        head_dim: Channels per head.
    """
    x_LD, prefix = weights["embedding"][tokens_L], "backbone.layers.0."
    layer = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    h_LD = norm(x_LD, layer["norm"])
    heads = 1 if str(liv.operator)[4] == "2" else width // head_dim
    y_LS, *others = (
        mixed(liv, {name.removeprefix(f"featurizers.{branch}."): w for name, w in layer.items()}, h_LD, heads)
        for branch in range(1 + liv.differential)
    )
    for other_LS in others:
        y_LS = y_LS - layer["difference"] * other_LS
    if "output_scale" in layer:
        x_LD = x_LD + sum(
            y_LS[:, copy * width : (copy + 1) * width] * scale_D
            for copy, scale_D in enumerate(layer["output_scale"])
        )
    else:
        x_LD = x_LD + y_LS @ matrix(layer["output"]).T
    return norm(x_LD, weights["backbone.norm"]) @ weights["embedding"].T


def norm(x_LD, weight_D):
    return weight_D * x_LD / np.sqrt((x_LD**2).mean(-1, keepdims=True) + EPSILON)


def mixed(liv, weights, h_LD, heads):
    """T V of one branch, (L, S)."""
    _, kind, sparsity, allele, _ = str(liv.operator)
    genomes = dict(zip(liv.featurizer.roles, str(liv.featurizer).split("-"), strict=True))
    groups = {
        role: feature(role, genome, weights, h_LD, heads) for role, genome in genomes.items() if role != "K"
    }
    V_LS, length = groups["V"].reshape(len(h_LD), -1), len(h_LD)
    if kind == "3":
        return np.einsum("ijst,jt->is", convolution(groups["C"], groups["B"], weights), V_LS)
    if kind == "1":
        T_LLH = gated_unit(groups["C"], allele)
    elif kind == "2":
        T_LLH = attention(groups["C"], groups["B"], allele, WINDOW if sparsity == "2" else length)
    else:
        T_LLH = recurrence(groups["C"], groups["B"], groups["A"][:, :, 0])
    return np.einsum("ijs,js->is", T_LLH.repeat(V_LS.shape[1] // T_LLH.shape[2], 2), V_LS)


def attention(C_LHE, B_LHE, allele, window):
    """T_ij = exp(s_ij) / Σ_k exp(s_ik), or σ(s_ij) over the number of k; s_ij = C_i · B_j / √E.

    i - window < k <= i, and C and B are turned by their positions.
    """
    length, heads, channels = C_LHE.shape
    C_LHE, B_LHE = rotated(C_LHE), rotated(B_LHE)
    T_LLH = np.zeros((length, length, heads))
    for i in range(length):
        read = range(max(i - window + 1, 0), i + 1)
        for j in read:
            score_H = (C_LHE[i] * B_LHE[j]).sum(-1) / np.sqrt(channels)
            T_LLH[i, j] = np.exp(score_H) if allele == "2" else nonlinearity(allele, score_H)
        T_LLH[i] /= T_LLH[i].sum(0) if allele == "2" else len(read)
    return T_LLH


def rotated(x_LHE):
    """Each pair of channels as a point of the plane, turned by i · base^(-f/F) at position i, F pairs."""
    turned_LHE, pairs = np.zeros_like(x_LHE), pairs_of(x_LHE.shape[-1])
    for i in range(len(x_LHE)):
        for f, (first, second) in enumerate(pairs):
            angle = i * BASE ** (-f / len(pairs))
            x_H, y_H = x_LHE[i, :, first], x_LHE[i, :, second]
            turned_LHE[i, :, first] = x_H * np.cos(angle) - y_H * np.sin(angle)
            turned_LHE[i, :, second] = x_H * np.sin(angle) + y_H * np.cos(angle)
    return turned_LHE


def recurrence(C_LHN, B_LHN, f_LH):
    """T_ij = C_i · (a_{j+1} … a_i) f_j B_j / √N with a = exp(-f)."""
    length, heads, states = C_LHN.shape
    T_LLH = np.zeros((length, length, heads))
    for i in range(length):
        for j in range(i + 1):
            decay_H = np.exp(-f_LH[j + 1 : i + 1]).prod(0)
            T_LLH[i, j] = (C_LHN[i] * B_LHN[j]).sum(-1) * decay_H * f_LH[j] / np.sqrt(states)
    return T_LLH


def convolution(C_LHE, B_LHE, weights):
    """T_ij = C_i K_{i-j} B_j, the gates diagonal and K a matrix over channels."""
    length, channels = len(C_LHE), C_LHE[0].size
    T_LLDD = np.zeros((length, length, channels, channels))
    K_LDD = [filter_at(lag, weights) for lag in range(length)]
    for i in range(length):
        for j in range(i + 1):
            T_LLDD[i, j] = C_LHE[i].reshape(-1, 1) * K_LDD[i - j] * B_LHE[j].reshape(-1)
    return T_LLDD


def filter_at(lag, weights):
    """K_t: taps and then nothing, each channel reading its block of them; or Re Σ_m c_m exp(p_m t)."""
    if "K.filter" not in weights:
        residue_DM = weights["K.real"] + 1j * weights["K.imaginary"]
        log_pole_DM = -softplus(weights["K.decay"]) + 1j * weights["K.frequency"]
        return np.diag((residue_DM * np.exp(log_pole_DM * lag)).sum(-1).real)
    channels, inputs, taps = weights["K.filter"].shape
    if lag >= taps:
        return np.zeros((channels, channels))
    return matrix(weights["K.filter"][:, :, lag].reshape(-1, inputs, inputs))


def gated_unit(C_LHE, allele):
    """T_ii = σ(C_i), all else zero."""
    length = len(C_LHE)
    T_LLS = np.zeros((length, length, C_LHE[0].size))
    for i in range(length):
        T_LLS[i, i] = nonlinearity(allele, C_LHE[i].reshape(-1))
    return T_LLS


def feature(role, genome, weights, h_LD, heads):
    """A feature group, (L, H, E): its heads as often as the last gene of its genome says."""
    if genome[3] == "1":
        u_LS = np.concatenate([h_LD * scale_D for scale_D in weights[f"{role}.scale"]], 1)
    else:
        u_LS = h_LD @ matrix(weights[f"{role}.projection"]).T
    if genome[0] == "3":
        taps_SK, inputs_LS = weights[f"{role}.short_filter"], u_LS
        u_LS = np.zeros_like(inputs_LS)
        for i in range(len(h_LD)):
            for t in range(min(i + 1, taps_SK.shape[1])):
                u_LS[i] += taps_SK[:, t] * inputs_LS[i - t]
    u_LS = nonlinearity(genome[2], u_LS)
    if genome[2] == "5":
        weight_E = weights[f"{role}.norm"]
        u_LS = norm(u_LS.reshape(len(h_LD), -1, len(weight_E)), weight_E)
    if role == "A":
        u_LS = softplus(u_LS + weights["A.step_bias"]) * np.exp(weights["A.log_rate"])
    repeat = int(genome[5], 36)
    return u_LS.reshape(len(h_LD), heads // repeat, -1).repeat(repeat, 1)


def matrix(weight):
    """A matrix, or that of blocks (G, S, D) along its diagonal."""
    if weight.ndim == 2:
        return weight
    blocks, rows, columns = weight.shape
    whole = np.zeros((blocks * rows, blocks * columns))
    for block in range(blocks):
        place = np.s_[block * rows : (block + 1) * rows, block * columns : (block + 1) * columns]
        whole[place] = weight[block]
    return whole


def nonlinearity(allele, x):
    if allele == "3":
        return np.maximum(x, 0)
    return x / (1 + np.exp(-x)) if allele == "4" else x


def softplus(x):
    return np.log1p(np.exp(x))
