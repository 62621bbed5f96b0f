"""Each merge method written again from its formula, on whole tensors, as plainly as it can be."""

from __future__ import annotations

import numpy as np


def trimmed(delta, keep):
    flat = np.abs(delta).ravel()
    return np.where(np.abs(delta) >= np.sort(flat)[-keep], delta, 0)


def elected(parts, weights, normalize):
    stacked = np.stack([w * p for w, p in zip(weights, parts, strict=True)]).astype(np.float64)
    sign = np.where(stacked.sum(0) >= 0, 1, -1)
    agree = np.sign(stacked) == sign
    total = (stacked * agree).sum(0)
    if not normalize:
        return total
    share = sum(w * a for w, a in zip(weights, agree, strict=True))
    return np.divide(total, share, out=np.zeros_like(total), where=share != 0)


def linear(base, experts, weights):
    return sum(w * e.astype(np.float64) for w, e in zip(weights, experts, strict=True)) / sum(weights)


def task_arithmetic(base, experts, weights, scale):
    return base + scale * sum(w * (e - base) for w, e in zip(weights, experts, strict=True))


def ties(base, experts, weights, density, scale):
    keep = max(1, int(density * base.size))
    return base + scale * elected([trimmed(e - base, keep) for e in experts], weights, True)


def breadcrumbs(base, experts, weights, density, gamma):
    total = np.zeros_like(base)
    for w, e in zip(weights, experts, strict=True):
        delta = e - base
        order = np.argsort(np.abs(delta).ravel(), kind="stable")
        target, top = int(density * delta.size), int(gamma * delta.size)
        kept = order[delta.size - top - target : delta.size - top]
        part = np.zeros(delta.size)
        part[kept] = delta.ravel()[kept]
        total = total + w * part.reshape(delta.shape)
    return base + total


def model_stock(base, experts):
    deltas = [(e - base).ravel().astype(np.float64) for e in experts]
    n = len(deltas)
    cosines = [
        deltas[i] @ deltas[j] / np.linalg.norm(deltas[i]) / np.linalg.norm(deltas[j])
        for i in range(n)
        for j in range(i)
    ]
    c = min(max(np.mean(cosines), 0), 1)
    t = n * c / (1 + (n - 1) * c)
    return t * np.mean(experts, axis=0) + (1 - t) * base


def slerp(one, two, t):
    a, b = one.ravel().astype(np.float64), two.ravel().astype(np.float64)
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    found = np.sin((1 - t) * angle) / np.sin(angle) * a + np.sin(t * angle) / np.sin(angle) * b
    return found.reshape(one.shape)


def consensus(base, experts, mask, k, scale):
    deltas = [e - base for e in experts]
    total = sum(deltas)
    needs = sum((np.abs(d) >= mask * np.abs(total - d)).astype(int) for d in deltas)
    return base + scale * total * (needs >= k)


def tsv(base, experts, scale=1.0, ranks=None, weights=None):
    d = min(base.shape) // len(experts)
    ranks = ranks or [d] * len(experts)
    weights = weights or [1.0] * len(experts)
    parts = [np.linalg.svd((e - base).astype(np.float64), full_matrices=False) for e in experts]
    u = np.concatenate([p[0][:, :r] for p, r in zip(parts, ranks, strict=True)], axis=1)
    s = np.concatenate([w * p[1][:r] for p, r, w in zip(parts, ranks, weights, strict=True)])
    v = np.concatenate([p[2][:r] for p, r in zip(parts, ranks, strict=True)], axis=0).T

    def whitened(x):
        values, vectors = np.linalg.eigh(x.T @ x)  # x (x'x)^(-1/2): another road to the polar factor
        return x @ vectors @ np.diag(values**-0.5) @ vectors.T

    return base + scale * whitened(u) @ np.diag(s) @ whitened(v).T


def iso(base, experts):
    u, s, vt = np.linalg.svd(sum(e - base for e in experts).astype(np.float64), full_matrices=False)
    return base + s.mean() * u @ vt


def wudi_loss(x, deltas):
    return sum(np.linalg.norm((x - d) @ d.T) ** 2 / np.linalg.norm(d) ** 2 for d in deltas)


def fisher(experts, weights, information):
    top = sum(w * f * e for w, f, e in zip(weights, information, experts, strict=True))
    return top / sum(w * f for w, f in zip(weights, information, strict=True))


def regmean(experts, grams, off):
    scaled = [off * g + (1 - off) * np.diag(np.diag(g)) for g in grams]
    return (np.linalg.inv(sum(scaled)) @ sum(g @ e.T for g, e in zip(scaled, experts, strict=True))).T
