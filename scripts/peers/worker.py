#!/usr/bin/env python3
"""Loads one model with one peer, and times it on request. run.py starts this process.

usage: worker.py PEER[+OPTION...] SUBJECT PRECISION THREADS FOLDER

PEER: torch, compile, onnxruntime, openvino. SUBJECT: see models.py. PRECISION: fp32 or bf16.
FOLDER keeps exported models. Options: channels_last, max-autotune, opsetN, nopin.

Prints lines of JSON: {"setting", "output": file.npy} after loading; then, for every line SECONDS on stdin,
{"ms": the times of as many runs as fit into SECONDS after a first one, "cores": how many were busy}.
"""
import gc
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

import models


def load_torch(job, compiled=False):
    model, inputs = models.subject(job.subject)
    setting = ["inference_mode"]
    if job.precision == "bf16":
        model = model.bfloat16()
        inputs = tuple(x.bfloat16() if x.is_floating_point() else x for x in inputs)
        setting.append("weights and activations in bf16")
    if "channels_last" in job.options:
        model = model.to(memory_format=torch.channels_last)
        inputs = tuple(x.to(memory_format=torch.channels_last) for x in inputs)
        setting.append("channels_last")
    if compiled:
        import torch._inductor.config as inductor
        inductor.freezing = inductor.freezing_discard_parameters = True
        mode = "max-autotune" if "max-autotune" in job.options else "default"
        model = torch.compile(model, fullgraph=True, dynamic=False, mode=mode)
        setting.append(f"torch.compile, mode {mode}, freezing")
    return lambda: model(*inputs).float().numpy(), setting


def load_compile(job):
    return load_torch(job, compiled=True)


def load_onnxruntime(job):
    import onnxruntime as ort
    if job.precision != "fp32":
        raise NotImplementedError("ONNX Runtime's CPU provider has no bf16 kernels for x86")
    opset = next((int(o[5:]) for o in job.options if o.startswith("opset")), 23)
    path = job.folder / f"{job.subject.replace('/', '-')}.opset{opset}.onnx"
    model, inputs = models.subject(job.subject)
    if not path.exists():
        names = ["latents", "timesteps", "labels"][:len(inputs)]
        whole = path.with_suffix(".part.onnx")
        torch.onnx.export(model, inputs, whole, input_names=names, dynamo=True, verbose=False,
                          external_data=True, opset_version=opset)
        whole.rename(path)  # the file of weights keeps its name, which the graph contains
    del model
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    setting = [f"opset {opset}", "ORT_ENABLE_ALL"]
    if job.threads == os.cpu_count():
        setting.append("threads by default: one pinned to each core")
    else:
        options.intra_op_num_threads = job.threads
        setting.append(f"intra_op_num_threads {job.threads}")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs)}
    return lambda: session.run(None, feed)[0], setting


def load_openvino(job):
    import openvino as ov
    path = job.folder / f"{job.subject.replace('/', '-')}.xml"
    model, inputs = models.subject(job.subject)
    if not path.exists():
        converted = ov.convert_model(model, example_input=inputs,
                                     input=[list(x.shape) for x in inputs])
        ov.save_model(converted, path, compress_to_fp16=False)
        del converted
    del model
    config = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
              "INFERENCE_NUM_THREADS": job.threads,
              "ENABLE_CPU_PINNING": "nopin" not in job.options,
              "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[job.precision]}
    request = ov.Core().compile_model(path, "CPU", config).create_infer_request()
    for i, x in enumerate(inputs):
        request.set_input_tensor(i, ov.Tensor(x.numpy()))

    def run():
        request.infer()
        return request.get_output_tensor().data
    return run, [f"{name} {value}" for name, value in config.items()]


class Job:
    def __init__(self, peer, subject, precision, threads, folder):
        self.peer, *self.options = peer.split("+")
        self.subject, self.precision = subject, precision
        self.threads, self.folder = int(threads), Path(folder)
        self.output = self.folder / f"{peer}.{subject.replace('/', '-')}.{precision}.npy"


def measure(run, seconds):
    run()  # starts threads and fills caches
    start, busy = time.perf_counter(), time.process_time()
    times, end = [], start + seconds
    while not times or time.perf_counter() + times[-1] / 2000 < end:
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    busy = time.process_time() - busy
    return {"ms": times, "cores": busy / (time.perf_counter() - start)}


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may print to stdout, which is for JSON
    job = Job(*sys.argv[1:])
    torch.set_num_threads(job.threads)
    with torch.inference_mode():
        run, setting = globals()[f"load_{job.peer}"](job)
        gc.collect()
        np.save(job.output, run())
        print(json.dumps({"setting": setting, "output": str(job.output)}), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(measure(run, float(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
