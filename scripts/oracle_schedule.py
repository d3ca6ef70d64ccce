#!/usr/bin/env python3
"""Writes tests/data/schedule.inc: trajectories of six numbers with every sampler.

The network is a toy, o = 0.3 x cos(t/100) + 0.1 (and v = 0.8 sin(x/100 + t/70) for its variance
channel). The noise is a formula. diffusers' schedulers compute the rows with diffusers' arithmetic. A numpy
transcription of the published equations computes those with the original program's (Nichol & Dhariwal 2021:
cosine, learned range, respacing; Song et al. 2021: DDIM). If the scheduler's class is not that of the
configuration, from_config makes the scheduler, as in pipelines.

usage: oracle_schedule.py > tests/data/schedule.inc      (torch 2.15, diffusers 0.42.1)
"""
import json
import math

import numpy as np
import torch
from diffusers import (DDIMInverseScheduler, DDIMScheduler, DDPMScheduler,
                       DPMSolverMultistepScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler)
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm

from oracle_sit import sample_sit

WIDTH = 6
CLASSES = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler, "dpm": DPMSolverMultistepScheduler,
           "euler": EulerDiscreteScheduler, "heun": HeunDiscreteScheduler}
F = np.float32


def start():
    return np.array([1.3 * math.cos(1.9 * j + 0.4) for j in range(WIDTH)], F)


def noise(step):
    return np.array([1.4 * math.sin(1.7 * step + 2.3 * j + 0.5) for j in range(WIDTH)], F)


def toy(x, t):
    return F(0.3 * math.cos(t / 100)) * x + F(0.1)


def toy_variance(x, t):
    return F(0.8) * np.sin(F(0.01) * x + F(t / 70))


def run_diffusers(sampler, config, steps, eta, learned, invert):
    module = scheduling_ddpm if sampler == "ddpm" else scheduling_ddim
    kind = DDIMInverseScheduler if invert else CLASSES[sampler]
    scheduler = kind.from_config(dict(config))
    scheduler.set_timesteps(int(steps))
    timesteps = [float(t) for t in scheduler.timesteps]
    x, draws = torch.from_numpy(start()).reshape(1, 1, WIDTH) * scheduler.init_noise_sigma, []
    for i, t in enumerate(scheduler.timesteps):
        drawn = []

        def supply(shape, **_):
            drawn.append(shape)
            return torch.from_numpy(noise(i)).reshape(shape)

        module.randn_tensor = supply
        values = scheduler.scale_model_input(x, t).numpy()
        out = toy(values, float(t))
        if learned and sampler == "ddpm" and config.get("variance_type") == "learned_range":
            out = np.concatenate([out, toy_variance(values, float(t))], 1)
        extra = {"eta": eta} if sampler == "ddim" and not invert else {}
        x = scheduler.step(torch.from_numpy(out), t, x, **extra).prev_sample
        draws.append(bool(drawn))
    return timesteps, draws, x.numpy().reshape(-1)


def betas_original(config):
    n = config.get("num_train_timesteps", 1000)
    first, last = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
    kind = config.get("beta_schedule", "linear")
    if kind == "linear":
        return np.linspace(first, last, n, dtype=np.float64)
    if kind == "scaled_linear":
        return np.linspace(first ** 0.5, last ** 0.5, n, dtype=np.float64) ** 2
    bar = lambda u: math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.array([min(1 - bar((i + 1) / n) / bar(i / n), 0.999) for i in range(n)])


def kept_timesteps(steps, n):
    if steps.startswith("ddim"):
        want = int(steps[4:])
        stride = next(s for s in range(1, n) if len(range(0, n, s)) == want)
        return list(range(0, n, stride))
    kept, first, sections = [], 0, [int(s) for s in steps.split(",")]
    for i, want in enumerate(sections):
        size, at = n // len(sections) + (i < n % len(sections)), 0.0
        for _ in range(want):
            kept.append(first + round(at))
            at += (size - 1) / (want - 1) if want > 1 else 1
        first += size
    return kept


def original_tables(config, steps):
    betas = betas_original(config)
    kept = kept_timesteps(steps, len(betas))
    full = np.cumprod(1 - betas)[kept]
    betas = 1 - full / np.append(1.0, full[:-1])
    bar = np.cumprod(1 - betas)
    before, after = np.append(1.0, bar[:-1]), np.append(bar[1:], 0.0)
    posterior = betas * (1 - before) / (1 - bar)
    return {"kept": kept, "bar": bar, "before": before, "after": after,
            "min_log": np.log(np.append(posterior[1], posterior[1:])),
            "max_log": np.log(betas),
            "fixed": np.log(np.append(posterior[1], betas[1:])),
            "to_x0": betas * np.sqrt(before) / (1 - bar),
            "to_x": (1 - before) * np.sqrt(1 - betas) / (1 - bar),
            "recip": np.sqrt(1 / bar), "recipm1": np.sqrt(1 / bar - 1)}


def run_original(sampler, config, steps, eta, learned, invert):
    table = original_tables(config, steps)
    f = lambda name, i: F(table[name][i])
    kept = table["kept"]
    x, timesteps = start(), []
    for i in range(len(kept)) if invert else reversed(range(len(kept))):
        t, n = kept[i], noise(len(timesteps))
        timesteps.append(t)
        o = toy(x, t)
        a, b = f("recip", i), f("recipm1", i)
        x0 = o if config.get("prediction_type") == "sample" else a * x - b * o
        eps = (a * x - x0) / b
        if sampler == "ddpm":
            log_variance = f("fixed", i)
            if learned:
                part = (toy_variance(x, t) + F(1)) / F(2)
                log_variance = part * f("max_log", i) + (F(1) - part) * f("min_log", i)
            mean = f("to_x0", i) * x0 + f("to_x", i) * x
            x = mean + F(i != 0) * np.exp(F(0.5) * log_variance) * n
        elif invert:
            x = x0 * np.sqrt(f("after", i)) + np.sqrt(F(1) - f("after", i)) * eps
        else:
            now, prev = f("bar", i), f("before", i)
            sigma = F(eta) * np.sqrt((F(1) - prev) / (F(1) - now)) * np.sqrt(F(1) - now / prev)
            mean = x0 * np.sqrt(prev) + np.sqrt(F(1) - prev - sigma ** 2) * eps
            x = mean + F(i != 0) * sigma * n
    return timesteps, [not invert] * len(kept), x


PLAIN = {"clip_sample": False}
TRAINED = [0.001 + 0.0007 * i * i / 40 for i in range(40)]


def cases():
    every = ("1", "7", "10", "50", "250")
    for steps in every:
        yield "diffusers", "ddim", PLAIN, steps, 0.0, True
        yield "diffusers", "ddim", PLAIN, steps, 0.7, False
        yield "diffusers", "ddpm", PLAIN, steps, 0.0, False
        yield "diffusers", "ddpm", {**PLAIN, "variance_type": "learned_range"}, steps, 0.0, True
    for steps in ("2",) + every[1:] + ("1000",):
        for sampler, eta in (("ddpm", 0.0), ("ddim", 0.0), ("ddim", 0.7)):
            for learned in (True, False):
                yield "original", sampler, {}, steps, eta, learned
    for steps in ("ddim7", "ddim10", "ddim50", "ddim250"):
        yield "original", "ddim", {}, steps, 0.0, True
        yield "original", "ddpm", {}, steps, 0.0, True
    for extra in ({"beta_schedule": "squaredcos_cap_v2"}, {"prediction_type": "sample"},
                  {"num_train_timesteps": 300, "beta_end": 0.05},
                  {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}):
        yield "original", "ddpm", extra, "10", 0.0, True
        yield "original", "ddim", extra, "10", 0.3, True
    variants = [
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": TRAINED, "num_train_timesteps": 40},
        {"prediction_type": "sample"}, {"prediction_type": "v_prediction"},
        {"timestep_spacing": "trailing"}, {"timestep_spacing": "linspace"}, {"steps_offset": 1},
        {"steps_offset": 3, "timestep_spacing": "trailing"},
        {"set_alpha_to_one": False}, {"set_alpha_to_one": False, "steps_offset": 1},
        {"clip_sample": True}, {"clip_sample": True, "clip_sample_range": 0.6},
        {"clip_sample": True, "prediction_type": "sample"},
        {"clip_sample": True, "prediction_type": "v_prediction"},
        {"num_train_timesteps": 500, "beta_start": 0.001, "beta_end": 0.03},
        {"num_train_timesteps": 16, "timestep_spacing": "trailing"},
    ]
    for extra in variants:
        config = {**PLAIN, **extra}
        for steps in ("10", "1"):
            yield "diffusers", "ddim", config, steps, 0.0, True
            yield "diffusers", "ddim", config, steps, 0.7, True
            for variance in ("fixed_small", "learned_range"):
                if "set_alpha_to_one" not in extra:
                    full = {**config, "variance_type": variance}
                    yield "diffusers", "ddpm", full, steps, 0.0, True
    for variance in ("fixed_small_log", "fixed_large"):
        for extra in ({}, {"timestep_spacing": "trailing"}):
            full = {**PLAIN, **extra, "variance_type": variance}
            yield "diffusers", "ddpm", full, "10", 0.0, True
    # numpy's arange gives 62 and 104 timesteps here; the last is -1
    for steps in ("61", "103"):
        config = {**PLAIN, "timestep_spacing": "trailing"}
        yield "diffusers", "ddim", config, steps, 0.0, True
        yield "diffusers", "ddpm", config, steps, 0.0, False
    yield "diffusers", "ddim", {}, "10", 1.0, False  # defaults of the class, which clips


# a DDIM configuration of old folders, without keys that were added later
OLD = {"num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02,
       "beta_schedule": "linear", "clip_sample": False}


def solver_cases():
    """DPM-Solver++, Euler and Heun."""
    variants = [
        OLD, {}, {"prediction_type": "sample"}, {"prediction_type": "v_prediction"},
        {"beta_schedule": "squaredcos_cap_v2"}, {"timestep_spacing": "leading"},
        {"timestep_spacing": "leading", "steps_offset": 1}, {"timestep_spacing": "trailing"},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"clip_sample": True, "clip_sample_range": 2.0},
        {"trained_betas": TRAINED, "num_train_timesteps": 40},
        {"clip_sample": True, "prediction_type": "v_prediction"}]
    for sampler in ("dpm", "euler", "heun"):
        for config in variants:
            yield "diffusers", sampler, config, "10", 0.0, True, "DDIMScheduler"
        for steps in ("1", "2", "14", "15", "25", "50"):
            yield "diffusers", sampler, OLD, steps, 0.0, True, "DDIMScheduler"
        yield "diffusers", sampler, {"timestep_spacing": "trailing"}, "61", 0.0, True, None
        yield "original", sampler, OLD, "20", 0.0, True, "DDIMScheduler"
    for extra in ({"solver_order": 1}, {"solver_type": "heun"}, {"lower_order_final": False},
                  {"euler_at_final": True}, {"final_sigmas_type": "sigma_min"},
                  {"final_sigmas_type": "sigma_min", "lower_order_final": False},
                  {"final_sigmas_type": "sigma_min", "euler_at_final": True}):
        for steps in ("10", "20"):
            yield "diffusers", "dpm", extra, steps, 0.0, True, None
    yield "diffusers", "euler", {"final_sigmas_type": "sigma_min"}, "10", 0.0, True, None
    yield "diffusers", "ddim", {}, "10", 0.0, True, "HeunDiscreteScheduler"


def inverse_cases():
    for steps in ("1", "7", "50"):
        yield "diffusers", PLAIN, steps
    for extra in ({"prediction_type": "v_prediction"}, {"timestep_spacing": "trailing"},
                  {"set_alpha_to_one": False}, {"steps_offset": 1}, {"clip_sample": True},
                  {"beta_schedule": "squaredcos_cap_v2"},
                  {"prediction_type": "sample", "set_alpha_to_one": False}):
        yield "diffusers", {**PLAIN, **extra}, "10"
    for steps in ("2", "10", "250", "ddim50", "10,15,20"):
        yield "original", {}, steps
    yield "original", {"prediction_type": "sample"}, "10"


def section_cases():
    for steps in ("10,15,20", "3,1", "0,2", "1,1,1", "40,30,20,10,5,5,0"):
        yield "original", "ddpm", {}, steps, 0.0, True
        yield "original", "ddim", {"beta_schedule": "squaredcos_cap_v2"}, steps, 0.5, True


def run_sit(sampler, config, steps, diffusion, invert):
    x = torch.from_numpy(start())
    network = lambda x, t: torch.from_numpy(toy(x.numpy(), float(t)))
    case = {"sampler": sampler, "steps": steps, "diffusion": diffusion, "invert": invert}
    times, draws, x = sample_sit(network, config, case, x, lambda i: torch.from_numpy(noise(i)))
    return times, draws, x.numpy()


def sit_cases():
    velocity = [{}, {"path_type": "GVP"}, {"path_type": "VP"}]
    others = [{**path, "prediction": p} for path in velocity for p in ("noise", "score")]
    for config in velocity + others:
        for sampler in ("euler", "heun", "sde"):
            yield sampler, config, "10", "sigma", False
    for steps in ("2", "3", "50", "250"):
        for sampler in ("euler", "heun", "sde"):
            yield sampler, {"path_type": "Linear", "prediction": "velocity"}, steps, "sigma", False
    for form in ("constant", "linear", "decreasing", "increasing-decreasing"):
        yield "sde", {}, "10", form, False
        yield "sde", {"path_type": "GVP"}, "10", form, False
    for config in [{"path_type": "VP"}] + others:
        yield "sde", config, "20", "sbdm", False
    for sampler in ("euler", "heun"):
        for config in [{}, {"path_type": "GVP"}, {"prediction": "noise"}, {"path_type": "VP"}]:
            yield sampler, config, "10", "sigma", True


def all_cases():
    names = {"ddpm": "DDPMScheduler", "ddim": "DDIMScheduler", "dpm": "DPMSolverMultistepScheduler",
             "euler": "EulerDiscreteScheduler", "heun": "HeunDiscreteScheduler"}
    for case in list(cases()) + list(section_cases()):
        yield (*case, False, names[case[1]])
    for *case, name in solver_cases():
        yield (*case, False, name or names[case[1]])
    for arithmetic, config, steps in inverse_cases():
        yield arithmetic, "ddim", config, steps, 0.0, True, True, "DDIMScheduler"


def values_of(result):
    timesteps, draws, x = result
    return " %d, %.9g, %.9g, %.17g, %d,\n {%s}}," % (
        len(timesteps), timesteps[0], timesteps[-1],
        sum((i + 1) * t for i, t in enumerate(timesteps)),
        sum((i + 1) * d for i, d in enumerate(draws)), ", ".join("%.9g" % v for v in x))


def write(arithmetic, sampler, config, steps, eta, learned, invert, diffusion, result):
    assert np.isfinite(result[2]).all(), (arithmetic, sampler, config, steps)
    text = json.dumps(config).replace('"', '\\"')
    print('{COMPAT_%s, SAMPLER_%s, "%s", "%s", %s, %d, %d, DIFFUSION_%s,' % (
        arithmetic.upper(), sampler.upper(), text, steps, eta, learned, invert,
        diffusion.upper().replace("-", "_")))
    print(values_of(result))


def main():
    torch.set_num_threads(1)
    print("/* Made by scripts/oracle_schedule.py: torch %s, diffusers %s. */" % (
        torch.__version__.split("+")[0], __import__("diffusers").__version__))
    for arithmetic, sampler, config, steps, eta, learned, invert, name in all_cases():
        plain = arithmetic == "original" and sampler in ("ddpm", "ddim")
        run = run_original if plain else run_diffusers
        write(arithmetic, sampler, {"_class_name": name, **config}, steps, eta, learned, invert,
              "sigma", run(sampler, config, steps, eta, learned, invert))
    for sampler, config, steps, diffusion, invert in sit_cases():
        write("original", sampler, {"_class_name": "SiT", **config}, steps, 0.0, True, invert,
              diffusion, run_sit(sampler, config, steps, diffusion, invert))


if __name__ == "__main__":
    main()
