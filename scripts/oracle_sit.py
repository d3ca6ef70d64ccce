"""SiT's samplers (Ma et al. 2024) in PyTorch, float32, written from the equations and the options of the
published program, and independent of ditcl. Used by oracle_schedule.py and oracle_models.py.

A path is x_t = alpha(t) data + sigma(t) noise, with t from 0 to 1. The network's prediction is converted to
the velocity of the probability flow and to the score. Euler and Heun follow the flow on an even grid.
Euler-Maruyama adds D(t) score and noise, and ends with one step without noise.
"""
import math

import torch

EPSILON, LAST_STEP = 1e-3, 0.04


def linear(t):
    return t, torch.ones_like(t), 1 - t, -torch.ones_like(t), 1 / t


def gvp(t):
    a = t * math.pi / 2
    half = math.pi / 2
    return torch.sin(a), half * torch.cos(a), torch.cos(a), -half * torch.sin(a), \
        math.pi / (2 * torch.tan(a))


def vp(t):
    low, high, r = 0.1, 20.0, 1 - t
    log_alpha = -0.25 * r ** 2 * (high - low) - 0.5 * r * low
    slope = 0.5 * r * (high - low) + 0.5 * low
    alpha, sigma = torch.exp(log_alpha), torch.sqrt(1 - torch.exp(2 * log_alpha))
    return alpha, alpha * slope, sigma, -torch.exp(2 * log_alpha) * slope / sigma, slope


PATHS = {"Linear": linear, "GVP": gvp, "VP": vp}


class Flow:
    def __init__(self, config, network):
        self.kind, self.network = config.get("path_type", "Linear"), network
        self.predicts = config.get("prediction", "velocity")

    def parts(self, t):
        """alpha, its slope, sigma, its slope, slope of log alpha, SBDM's diffusion."""
        alpha, d_alpha, sigma, d_sigma, ratio = PATHS[self.kind](t)
        diffusion = ratio if self.kind == "VP" else ratio * sigma ** 2 - sigma * d_sigma
        return alpha, d_alpha, sigma, d_sigma, ratio, diffusion

    def both(self, x, t):
        """Velocity and score."""
        out = self.network(x, t)
        alpha, d_alpha, sigma, d_sigma, ratio, diffusion = self.parts(t)
        if self.predicts == "velocity":
            r = alpha / d_alpha
            return out, (r * out - x) / (sigma ** 2 - r * d_sigma * sigma)
        score = out / -sigma if self.predicts == "noise" else out
        return ratio * x + diffusion * score, score

    def diffusion(self, form, t):
        sigma, sbdm = self.parts(t)[2], self.parts(t)[5]
        return {"sigma": sigma, "constant": torch.ones_like(t), "sbdm": sbdm, "linear": 1 - t,
                "decreasing": 0.25 * (torch.cos(math.pi * t) + 1) ** 2,
                "increasing-decreasing": torch.sin(math.pi * t) ** 2}[form]

    def ends(self, noisy, reverse):
        start, end = 0.0, 1.0
        if self.kind == "VP" or self.predicts != "velocity":
            end = 1 - EPSILON
            start = 0.0 if self.kind == "VP" else EPSILON
        if noisy:
            end = 1 - LAST_STEP
        return (1 - start, 1 - end) if reverse else (start, end)


def sample_sit(network, config, case, x, noise):
    """network(x, t): t is a scalar tensor. noise(i): the noise of step i. Returns the times of the
    predictions, for which of them noise was drawn, and the result."""
    times, drawn = [], []

    def asked(values, t):
        times.append(float(t))
        drawn.append(False)
        return network(values, t)

    flow = Flow(config, asked)
    noisy = case["sampler"] == "sde"
    start, end = flow.ends(noisy, case.get("invert", False))
    grid = torch.linspace(start, end, int(case["steps"]))
    form, stride = case.get("diffusion") or "sigma", grid[1] - grid[0]
    for i, (t, after) in enumerate(zip(grid[:-1], grid[1:])):
        if noisy:
            fresh = noise(i)
            velocity, score = flow.both(x, t)
            drawn[-1] = True
            d = flow.diffusion(form, t)
            x = x + (velocity + d * score) * stride + torch.sqrt(2 * d) * fresh * torch.sqrt(stride)
            continue
        dt, first = after - t, flow.both(x, t)[0]
        if case["sampler"] == "euler":
            x = x + dt * first
        else:
            x = x + dt * 0.5 * (first + flow.both(x + dt * first, after)[0])
    if noisy:
        t = torch.tensor(end)
        velocity, score = flow.both(x, t)
        x = x + (velocity + flow.diffusion(form, t) * score) * LAST_STEP
    return times, drawn, x
