#!/usr/bin/env python3
"""Times one forward pass of a DiT by PyTorch on this machine's GPU, for scripts/try_gpu.

Settings are fp32, TF32, fp16 and bf16, eager and with torch.compile. The most important come first, and no
setting begins when the time is up. Prints a line for each setting: median and quartiles in milliseconds.
"""
import argparse
import statistics
import sys
import time

try:
    import torch
except ModuleNotFoundError:
    print("torch is not installed: not compared")
    sys.exit(0)
import models

# name, dtype, precision of float32 products, compiled
SETTINGS = [("fp16 eager", torch.float16, "highest", False),
            ("fp32 eager", torch.float32, "highest", False),
            ("fp16 compiled", torch.float16, "highest", True),
            ("tf32 eager", torch.float32, "high", False),
            ("bf16 eager", torch.bfloat16, "highest", False),
            ("fp32 compiled", torch.float32, "highest", True),
            ("bf16 compiled", torch.bfloat16, "highest", True),
            ("tf32 compiled", torch.float32, "high", True)]


def accelerator():
    for kind in ("cuda", "xpu", "mps"):  # ROCm is called cuda, too
        module = getattr(torch, kind, None)
        if module and module.is_available():
            return torch.device(kind)
    return torch.device("cpu")


def wait(device):
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def measure(run, device, seconds):
    """Times in milliseconds of single passes, after three that warm up."""
    for _ in range(3):
        run()
    wait(device)
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < end and len(times) < 200):
        begin = time.perf_counter()
        run()
        wait(device)
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--arch", default="DiT-XL/2", help="[%(default)s]")
    p.add_argument("--size", type=int, default=256, help="pixels of a side [%(default)s]")
    p.add_argument("--seconds", type=float, default=60, help="for everything [%(default)s]")
    a = p.parse_args()
    end = time.perf_counter() + a.seconds
    device = accelerator()
    name = torch.cuda.get_device_name() if device.type == "cuda" else str(device)
    print(f"PyTorch {torch.__version__} on {name}, {a.arch} at {a.size} px, batch 2")
    model, inputs = models.subject(a.arch, a.size // 8)
    model = model.to(device)
    for setting, dtype, products, compiled in SETTINGS:
        if time.perf_counter() > end - a.seconds / 10:
            print(f"{setting}: not begun, the time is up")
            continue
        torch.set_float32_matmul_precision(products)
        try:
            with torch.inference_mode():
                one = model.to(dtype)
                given = [x.to(device, dtype if x.is_floating_point() else None) for x in inputs]
                run = torch.compile(one, dynamic=False) if compiled else one
                times = measure(lambda: run(*given), device, min(3.0, a.seconds / 20))
        except Exception as problem:  # the other settings may still work
            print(f"{setting}: failed: {str(problem).splitlines()[0][:200]}")
            continue
        low, mid, high = statistics.quantiles(times, n=4)
        print(f"torch {setting:14} {mid:9.3f} ms   {low:.3f} .. {high:.3f}", flush=True)


if __name__ == "__main__":
    main()
