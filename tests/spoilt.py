#!/usr/bin/env python3
"""Breaks kernels in a copy of cl/, one place at a time, and runs `ditcl check`, which must find each fault.

    tests/spoilt.py PATH/ditcl [--emulator PATH/libamx_emulator.so] [--some N] [--seed S]
                    [--sample] [NAME...]

--sample: runs `ditcl sample` with first-use checks instead. It must find the fault or draw the right
picture; a wrong picture with exit code 0 is an error.
--some N: tries N faults, which the seed chooses (--seed, else DITCL_TEST_SEED, else 1).
NAME: tries the faults whose printed line contains it.

Exit code 1 if a fault is not found, or if its text is not in the kernel exactly once. Run it by
tests/on.sh."""
import argparse
import array
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from seed import test_seed

TESTS = pathlib.Path(__file__).resolve().parent
KERNELS = TESTS.parent / "cl"
MODEL = str(TESTS / "data/models/separate48")

# Name: the options of check, and DITCL_FEATURES.
WAYS = {
    "cpu": (["--kernels", "cpu", "--precision", "fp32"], None),
    "cpu_auto": (["--kernels", "cpu", "--precision", "auto"], "-amx_bf16"),
    "gpu": (["--kernels", "gpu", "--precision", "fp32"], None),
    "gpu16": (["--kernels", "gpu", "--precision", "fp16"], None),
    "tiles": (["--kernels", "cpu", "--precision", "auto"], "+amx_bf16"),
    "tiles16": (["--kernels", "cpu", "--precision", "bf16"], "+amx_bf16"),
    "units": (["--kernels", "gpu", "--precision", "auto"], "+mma"),
    "units16": (["--kernels", "gpu", "--precision", "fp16"], "+mma"),
}

# (names of WAYS, operator, kernel file, a text that is in it once, the text that replaces it)
SPOILT = [
    # ---- both families ----
    ("cpu gpu", "fill", "fill.cl", "if (i < count)", "if (i < count - 1)"),
    ("cpu gpu", "patchify", "patchify.cl", "ph = element / patch % patch, pw = element % patch",
     "pw = element / patch % patch, ph = element % patch"),
    ("cpu gpu", "patchify", "patchify.cl", "(first + n % pictures) * channels",
     "(first + n / 2) * channels"),
    ("cpu gpu", "patchify", "patchify.cl", "+ i] * factor + offset", "+ i] * factor"),
    ("cpu gpu", "patchify", "patchify.cl", "+ skip + y / patch", "+ y / patch"),
    ("cpu gpu", "patchify", "patchify.cl", "(y % patch) * patch + x % patch",
     "(x % patch) * patch + y % patch"),
    ("cpu gpu", "condition", "condition.cl", "siluv(embedded[index] +", "siluv(embedded[index] -"),
    ("cpu gpu", "condition", "condition.cl", "(size_t)labels[row] * width + channel]);\n}",
     "(size_t)labels[0] * width + channel]);\n}"),
    ("cpu gpu", "condition", "condition.cl", "out[index + width] = table", "out[index] = table"),
    ("cpu gpu", "condition", "condition.cl", "(first_row + rows[rows_at + n]) * 2",
     "(first_row + rows[n]) * 2"),
    ("cpu gpu", "cross", "cross.cl", "*v0 = k0 + width, *k1 = v0 + width",
     "*k1 = k0 + width, *v0 = k1 + width"),
    ("cpu gpu", "cross", "cross.cl", "(score1 - score0) * scale", "(score1 - score0)"),
    ("cpu gpu", "downsample", "downsample.cl", "in_row < height && in_column < width",
     "in_row < height && in_column < width && in_row > 0"),
    ("cpu gpu", "downsample", "downsample.cl", "((size_t)first + pixel) * channels",
     "((size_t)pixel) * channels"),
    ("cpu gpu", "step", "step.cl", "o = unconditional + guidance * (o - unconditional)",
     "o = unconditional - guidance * (o - unconditional)"),
    ("cpu gpu", "step", "step.cl", "if (c < guided_channels)", "if (c <= guided_channels)"),
    ("cpu gpu", "step", "step.cl", "clamp(x0, -step->clip, step->clip)", "min(x0, step->clip)"),
    ("cpu gpu", "step", "step.cl", "f * step->log_max + (1.0f - f) * step->log_min",
     "f * step->log_min + (1.0f - f) * step->log_max"),
    ("cpu gpu", "step", "step.cl", "step->keep_x0 * x0 + step->keep_eps",
     "step->keep_eps * x0 + step->keep_eps"),
    ("cpu gpu", "step", "step.cl", "if (not_finite(next))", "if (not_finite(o))"),
    ("cpu gpu", "blend", "blend.cl", "mask[i] * latents[index] + (1.0f - mask[i]) * known",
     "(1.0f - mask[i]) * latents[index] + mask[i] * known"),
    ("cpu gpu", "blend", "blend.cl", "image[(size_t)c * area + i]", "image[i]"),
    ("cpu gpu", "step", "step.cl", "(first + b) * channels", "b * channels"),
    ("cpu gpu", "step", "step.cl", "(size_t)n * channels_out * area",
     "(size_t)channels_out * area"),
    ("cpu gpu", "step", "step.cl", "step->eps_x * x + step->eps_o * o",
     "step->eps_o * x + step->eps_x * o"),
    ("cpu gpu", "step", "step.cl", "step->x0_x * x + step->x0_o * o",
     "step->x0_x * x + step->eps_o * o"),
    ("cpu gpu", "step", "step.cl", "step->to_x0 * x0 + step->to_eps * eps", "step->to_x0 * x0"),
    ("cpu gpu", "step", "step.cl", "+ step->to_x * x;", "+ x;"),
    ("cpu gpu", "step", "step.cl", "rows + row;", "rows + row - 1;"),
    ("cpu gpu", "step", "step.cl", "next += step->to_kept * kept[to]", "next += kept[to]"),
    ("cpu gpu", "step", "step.cl", "+ step->keep_x * x;", ";"),
    ("cpu gpu", "step", "step.cl", "+ 1.0f) * 0.5f", ") * 0.5f"),
    ("cpu gpu", "step", "step.cl", "s *= exp(0.5f *", "s *= exp(1.0f *"),
    ("cpu gpu", "step", "step.cl", "(size_t)channels * area] + 1.0f", "0] + 1.0f"),
    ("cpu gpu", "step", "step.cl", "next += s * noise[to]", "next -= s * noise[to]"),
    ("cpu gpu", "step", "step.cl", "if (s != 0.0f)", "if (s >= 0.0f)"),
    ("cpu gpu", "step", "step.cl", "if (step->to_kept != 0.0f) next", "next"),
    ("cpu gpu", "step", "step.cl", "(as_uint(x) & 0x7f800000u) ==",
     "(as_uint(x) & 0x7fffffffu) =="),
    ("cpu gpu", "step", "step.cl", "(as_uint(x) & 0x7f800000u) ==", "(as_uint(x) & 0x7fffffffu) >"),
    ("cpu gpu", "step", "step.cl", "if (step->clip > 0.0f) x0", "if (step->clip > 1.2f) x0"),
    ("cpu gpu", "condition", "condition.cl", "siluv(embedded[index]", "(embedded[index]"),
    ("cpu gpu", "condition", "condition.cl", "if (token < 2)", "if (token < 1)"),
    ("cpu gpu", "condition", "condition.cl", "(first_row + rows[rows_at + n]) * 2",
     "(rows[rows_at + n]) * 2"),
    ("cpu gpu", "condition", "condition.cl", "out[index] = embedded[(size_t)row * width + channel]",
     "out[index] = embedded[channel]"),
    ("cpu gpu", "patchify", "patchify.cl", "(size_t)picture * channels", "(size_t)channels"),
    ("cpu gpu", "patchify", "patchify.cl", "(size_t)n * (skip + columns", "(size_t)n * (columns"),
    ("cpu gpu", "patchify", "patchify.cl", "x % patch) * channels + c;",
     "x % patch) + c * patch * patch;"),
    ("cpu gpu", "cross", "cross.cl", "(first_row + rows[rows_at + n])", "(rows[rows_at + n])"),
    ("cpu gpu", "cross", "cross.cl", "(first_row + rows[rows_at + n])",
     "(first_row + rows[rows_at])"),
    ("cpu gpu", "cross", "cross.cl", "i % heads * d;", "0 * d;"),
    ("cpu gpu", "cross", "cross.cl", "mad(p0, v0[j], p1 * v1[j])", "mad(p1, v0[j], p0 * v1[j])"),
    ("cpu gpu", "downsample", "downsample.cl", "in_row < height && in_column < width",
     "in_row < height"),
    ("cpu gpu", "downsample", "downsample.cl",
     "first_row + tap / 3, in_column = first_column + tap % 3",
     "first_row + tap % 3, in_column = first_column + tap / 3"),
    ("cpu gpu", "downsample", "downsample.cl", "pixel = first + window", "pixel = window"),
    ("cpu gpu", "blend", "blend.cl", "+ spread * noise[index]", "- spread * noise[index]"),
    ("cpu gpu", "blend", "blend.cl", "known = signal * image", "known = image"),
    # constants of activations
    ("cpu gpu", "gemm", "prelude.clh", "0.0713548163f", "0.0713f"),
    ("cpu gpu", "condition", "prelude.clh", "mad(p, r, (V)(4.16683908e-2f))",
     "mad(p, r, (V)(4.2e-2f))"),
    ("cpu gpu", "gemm", "prelude.clh", "1.59576912f", "1.6f"),
    # ---- group norm ----
    ("cpu gpu", "groupnorm", "groupnorm.cl", "/ total + epsilon", "/ total"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "(size_t)n * groups + group) * entries",
     "(size_t)n * groups) * entries"),
    ("cpu gpu", "groupnorm", "groupnorm.cl",
     "values_of(i, pixels, chunk_pixels, chunks) * difference, difference", "0.0f, difference"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "bias[c] - mean * factor", "bias[c] + mean * factor"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "row / UP", "(row + 1) / UP % height"),
    ("cpu", "groupnorm", "groupnorm_cpu.cl", "/ total + epsilon", "/ total"),
    ("cpu", "groupnorm", "groupnorm_cpu.cl", "+ count * difference * difference",
     "+ difference * difference"),
    ("cpu", "groupnorm", "groupnorm_cpu.cl", "squares[j] - sum[j] * mean", "squares[j]"),
    ("cpu", "groupnorm", "groupnorm_cpu.cl", "src[(size_t)k * 2 * channels + c] - first, sum",
     "src[(size_t)k * 2 * channels] - first, sum"),
    ("cpu", "groupnorm", "groupnorm_cpu.cl", "height + row / UP", "height + row / 2"),
    ("cpu", "groupnorm", "groupnorm_cpu.cl", "value = siluv(value)", "value = siluv(-value)"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "max(LANE_SUM(squares) - total * mean, 0.0f)",
     "LANE_SUM(squares)"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "count = min(chunk_pixels, pixels - begin)",
     "count = min(chunk_pixels, max(pixels - begin - 1, 1))"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "chunk_pixels, pixels - i % chunks * chunk_pixels",
     "chunk_pixels, chunk_pixels"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "inverse * weight[c]", "inverse * weight[group]"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "x + ((size_t)n * pixels + begin) * vectors",
     "x + (size_t)begin * vectors"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "affine + ((size_t)n * channels + c) * 2;",
     "affine + (size_t)c * 2;"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "width + column / UP", "width + column"),
    ("cpu gpu", "groupnorm", "groupnorm.cl", "value = silu(value)", "value = silu(-value)"),
    # ---- layer norm and modulation ----
    ("gpu", "modulate", "modulate.cl",
     "(1.0f + vload4(i, row + scale_at)) + vload4(i, row + shift_at)",
     "(1.0f + vload4(i, row + shift_at)) + vload4(i, row + scale_at)"),
    ("gpu", "modulate", "modulate.cl", "variance + epsilon", "variance"),
    ("gpu", "modulate", "modulate.cl", "rows[rows_at + token / tokens]", "rows[rows_at]"),
    ("cpu", "modulate", "modulate_cpu.cl", "sum_of(in, mean, true) / WIDTH + epsilon",
     "sum_of(in, mean, true) / WIDTH"),
    ("cpu", "modulate", "modulate_cpu.cl", "i < WIDTH; i++)\n            row_out[i]",
     "i < WIDTH - 1; i++)\n            row_out[i]"),
    ("cpu", "modulate", "modulate_cpu.cl", "1.0f + LOAD(scale + i)", "LOAD(scale + i)"),
    ("cpu", "modulate", "modulate_cpu.cl", "(sum[2] + sum[3])", "(sum[2])"),
    ("gpu", "modulate", "modulate.cl", "(first_row + rows", "(rows"),
    ("gpu", "modulate", "modulate.cl", "(vload4(i, in) - mean) * inverse",
     "vload4(i, in) * inverse"),
    ("gpu", "modulate", "modulate.cl", "float4 deviation = vload4(i, in) - mean;",
     "float4 deviation = vload4(i, in);"),
    ("cpu", "modulate", "modulate_cpu.cl", "(first_row + rows", "(rows"),
    ("cpu", "modulate", "modulate_cpu.cl", "token / tokens", "0"),
    ("cpu", "modulate", "modulate_cpu.cl", "min(first + count, total_tokens)",
     "min(first + count, total_tokens - 1)"),
    ("cpu", "modulate", "modulate_cpu.cl", "mad((in[i] - mean) * inverse", "mad(in[i] * inverse"),
    # ---- GEMM ----
    ("cpu", "gemm", "gemm_cpu.cl", "for (; k < depth; k++, a++, panel += NR)",
     "for (; k < depth - 1; k++, a++, panel += NR)"),
    ("cpu", "gemm", "gemm_cpu.cl", "if (row < row_end)\n            compute_tile(",
     "if (row + 1 < row_end) compute_tile("),
    ("cpu_auto", "gemm", "gemm_cpu.cl", "VSTORE(a12 - s2, dst + below + H)",
     "VSTORE(a12 + s2, dst + below + H)"),
    ("cpu_auto", "gemm", "gemm_cpu.cl", "x -= VLOAD(left_panel + H * NR + k)",
     "x += VLOAD(left_panel + H * NR + k)"),
    ("cpu gpu units units16 tiles tiles16", "gemm", "epilogue.clh", "x += RESIDUAL_LOAD",
     "x -= RESIDUAL_LOAD"),
    ("cpu gpu tiles tiles16", "gemm", "epilogue.clh", "row / e.tokens", "0 * row"),
    ("cpu gpu", "gemm", "epilogue.clh", "row % e.residual_rows", "row % 2"),
    ("cpu gpu", "gemm", "epilogue.clh", "e.first_row + e.gate_rows", "e.gate_rows"),
    ("cpu gpu", "gemm", "epilogue.clh", "x *= GATE_LOAD", "x += GATE_LOAD"),
    ("cpu gpu", "gemm", "epilogue.clh", "x = gelu_tanhv(x)", "x = siluv(x)"),
    ("cpu gpu", "gemm", "epilogue.clh", "x = siluv(x)", "x = siluv(-x)"),
    ("gpu units16", "gemm", "gemm_tiles.clh", "x += END_LOAD(e.bias + at, e.n - at)",
     "x += END_LOAD(e.bias, e.n)"),
    ("gpu", "gemm", "gemm_gpu.cl", "if (row + i >= m) continue", "if (row + i >= m - 1) continue"),
    ("gpu", "gemm", "epilogue.cl", "p < parts", "p < parts - 1"),
    ("gpu", "gemm", "epilogue.cl", "0.0356774081f", "0.0f"),
    ("gpu", "gemm", "epilogue.cl", "x + bias[j]", "x + bias[0]"),
    ("gpu16", "gemm", "gemm_gpu.cl", "vloada_half4(0, (w) + (index))",
     "vloada_half4(1, (w) + (index))"),
    # ---- activations in 16 bits ----
    ("units", "gemm", "factors.clh", "mma_pack4_low(twice, high).x;", "0;"),
    ("units", "gemm", "gemm_tiles.clh", "min(vector / A_ROW_VECTORS, rows - 1) * A_PARTS",
     "min(vector / A_ROW_VECTORS, rows - 1)"),
    ("units units16", "gemm", "gemm_fragments.clh", "(size_t)at * RESULT_PARTS * e.n",
     "(size_t)at * RESULT_PARTS * (e.n + 8)"),
    ("units", "modulate", "factors.clh", "*(global uint2 *)(row + width + at)",
     "*(global uint2 *)(row + at)"),
    ("units16", "modulate", "modulate.cl", "out + token * RESULT_PARTS * width", "out + token * width / 2"),
    ("units", "patchify", "factors.clh", "row[width + at] =", "row[at] ="),
    ("units", "cross", "cross.cl", "i / heads) * RESULT_PARTS * width", "i / heads) * width"),
    # ---- GEMM on matrix units ----
    ("units units16", "gemm", "gemm_mma.cl", "* padded_depth + k +\n", "* padded_depth + 0 * k +\n"),
    ("tiles tiles16", "gemm", "gemm_matrix.cl", "pending_end = min(pending_row + ROWS, m)",
     "pending_end = min(pending_row + ROWS, m - 1)"),
    ("cpu", "gemm", "gemm_cpu.cl", "acc[i][j] = k_begin > 0 ? acc_copy[i][j] : VLOAD",
     "acc[i][j] = VLOAD"),
    ("cpu_auto", "gemm", "gemm_cpu.cl", "VSTORE(a11 - a21, dst + below)",
     "VSTORE(a21 - a11, dst + below)"),
    ("cpu_auto", "gemm", "gemm_cpu.cl", "if (bias) x", "if (false) x"),
    ("cpu_auto", "gemm", "gemm_cpu.cl", "finish(out, copy, e, below", "finish(out, copy, e, row"),
    ("cpu_auto", "gemm", "gemm_cpu.cl", "add_sums(x, out, e, below, column, -1.0f, true)",
     "add_sums(x, out, e, below, column, 1.0f, true)"),
    ("gpu", "gemm", "gemm_tiles.clh", "#define PART_END min(PART_BEGIN + PART_DEPTH, depth)",
     "#define PART_END depth"),
    ("gpu", "gemm", "gemm_tiles.clh", "TAIL && step >= depth ?", "TAIL && step > depth ?"),
    ("gpu", "gemm", "epilogue.cl", "-2.0f * u", "-1.0f * u"),
    # ---- attention ----
    ("cpu", "attention", "attention_cpu.cl",
     "row_sum[j] = key_begin ? LOAD(stored_sum + j * VEC) * rescale[j]",
     "row_sum[j] = key_begin ? LOAD(stored_sum + j * VEC)"),
    ("cpu", "attention", "attention_cpu.cl", "* rescale[j];", ";"),
    ("cpu", "attention", "attention_cpu.cl", "gather_values(packed_values, src + heads * D",
     "gather_values(packed_values, src"),
    ("cpu", "attention", "attention_cpu.cl", "if (first + j * VEC + i < tokens)",
     "if (first + j * VEC + i < tokens - 1)"),
    ("gpu", "attention", "attention.cl", "row_sum[i] = mad(row_sum[i], rescale[i], tile_sum)",
     "row_sum[i] += tile_sum"),
    ("gpu", "attention", "attention.cl", "acc[i][j] *= rescale[i]", "acc[i][j] *= 1.0f"),
    ("gpu", "attention", "attention.cl", "bool valid = block_begin + j * WK + tile_column < tokens",
     "bool valid = block_begin + j * WK + tile_column < tokens + 1"),
    ("gpu", "attention", "attention.cl", "SCORE_SUM(score[i][j]) * factor",
     "SCORE_SUM(score[i][j])"),
    ("units16", "attention", "attention_mma.cl", "row_sum[i][query] *= rescale[i][query]",
     "row_sum[i][query] *= 1.0f"),
    ("units16", "attention", "attention_mma.cl", "KEY(lane, c) >= keys_left",
     "KEY(lane, c) > keys_left"),
    ("tiles16", "attention", "attention_matrix.cl", "sums_of_p.s0 += state[ROWS] * rescale.s0",
     "sums_of_p.s0 += state[ROWS]"),
    ("tiles16", "attention", "attention_matrix.cl", "x = V_IOTA < count - k ?",
     "x = V_IOTA <= count - k ?"),
    ("cpu", "attention", "attention_cpu.cl", "qkv += (size_t)n * tokens * stride + h * D",
     "qkv += (size_t)n * tokens * stride"),
    ("cpu", "attention", "attention_cpu.cl",
     "rescale[j] = key_begin ? exp2v(LOAD(stored_max + j * VEC) - row_max[j])",
     "rescale[j] = key_begin ? (V)(1.0f)"),
    ("cpu", "attention", "attention_cpu.cl", "min(first + j * VEC + i, tokens - 1)",
     "min(first + i, tokens - 1)"),
    ("gpu", "attention", "attention.cl", "tokens * pitch + h * D;", "tokens * pitch;"),
    ("gpu", "attention", "attention.cl", "rescale[i] = exp2(row_max[i] - maximum)",
     "rescale[i] = exp(row_max[i] - maximum)"),
    ("gpu", "attention", "attention.cl", "vector * VEC + j < D ? row[vector * VEC + j] : 0.0f",
     "vector * VEC + j < D - 1 ? row[vector * VEC + j] : 0.0f"),
    ("gpu", "attention", "attention.cl", "acc[i][j] / denominator", "acc[i][j]"),
    # ---- convolutions ----
    ("cpu", "conv", "conv.cl", "tap / 3 * pitch + tap % 3", "tap % 3 * pitch + tap / 3"),
    ("cpu", "conv", "conv.cl", "value += VLOAD(residual", "value -= VLOAD(residual"),
    ("cpu", "conv", "conv.cl", "lanes[k] += residual", "lanes[k] -= residual"),
    ("cpu", "conv", "conv_winograd.cl", "value = mad(value, factor, offset)", "value *= factor"),
    ("cpu", "conv", "conv_winograd.cl", "if (with_residual) value += LOAD(residual + out_index)",
     ""),
    ("cpu", "conv", "conv_winograd.cl", "V value = result[i] + offset", "V value = result[i]"),
    ("cpu", "conv", "conv_winograd.cl", "r[1] = m[1] - m[2];", "r[1] = m[1] + m[2];"),
    ("cpu", "conv", "conv_winograd.cl", "r[1] = m[1] - m[2] - m[3]", "r[1] = m[1] - m[2] + m[3]"),
    ("cpu", "conv", "conv_winograd.cl", "if (y_out >= out_height || x_out >= out_width) continue",
     "if (y_out >= out_height || x_out >= out_width - 1) continue"),
    ("gpu", "conv", "conv_gpu.cl", "tap % 3 - 1;", "tap % 3;"),
    ("gpu", "conv", "conv_gpu.cl", "(float4)(low.y, low.w, high.y, high.w)", "(float4)(0.0f)"),
    ("gpu", "conv", "conv_gpu.cl", "value += GLOBAL_LOAD(residual", "value -= GLOBAL_LOAD(residual"),
    ("gpu", "conv", "conv_gpu.cl", "acc[i][j] = GLOBAL_LOAD(bias + channel[j])",
     "acc[i][j] = 0.0f"),
    ("gpu", "conv", "conv_gpu.cl", "(index) >> 1", "((index) + 1) >> 1"),
    ("gpu", "conv", "conv_gpu.cl", "x = x / (1.0f + exp(-x))", "x = x / (1.0f + exp(x))"),
    ("units units16", "conv", "conv_mma.cl", "if (find_pixel(p, vector) < 0) x", "if (false) x"),
    ("units units16", "conv", "conv_mma.cl", "x += *(global const V *)residual", ""),
    ("units", "conv", "conv_mma.cl", "y / UP * p.width", "(y + 1) / UP * p.width"),
    ("tiles tiles16", "conv", "conv_matrix.cl", "value = fma(value, factor, offset)",
     "value = value * factor"),
    ("tiles tiles16", "conv", "conv_matrix.cl", "x += load_some(t->residual",
     "x -= load_some(t->residual"),
    ("tiles", "conv", "conv_matrix.cl", "fold_taps(column, 1, phase % 2",
     "fold_taps(column, 1, phase / 2"),
    ("cpu", "conv", "conv.cl", "VLOAD(bias + panel * NR + j * VEC)", "0.0f"),
    ("cpu", "conv", "conv.cl", "(size_t)n * x_pixels + pixel_begin", "(size_t)pixel_begin"),
    ("cpu", "conv", "conv_winograd.cl", "(i == 1 ? middle : -middle)", "middle"),
    ("cpu", "conv", "conv_winograd.cl", "return first + middle + last;", "return first + middle;"),
    ("cpu", "conv", "conv_winograd.cl", "t[3] = s[stride] - s[3 * (stride)]", "t[3] = s[stride]"),
    ("cpu", "conv", "conv_winograd.cl", "t[2] = s[stride] - s[2 * (stride)]", "t[2] = s[stride]"),
    ("cpu", "conv", "conv_winograd.cl", "value = siluv(value)", "value = siluv(-value)"),
    ("cpu", "conv", "conv_winograd.cl", "affine + ((size_t)n * in_channels + k",
     "affine + ((size_t)k"),
    ("cpu", "conv", "conv_winograd.cl", "inside = y >= 0 && y < height", "inside = y >= 0"),
    ("gpu", "conv", "conv_gpu.cl", "affine += (size_t)n * in_channels * 2", ""),
    ("gpu", "conv", "conv_gpu.cl", "lanes[e] += residual", "lanes[e] -= residual"),
    ("gpu", "conv", "conv_gpu.cl", "affine[(c + j) * 2 + 1]", "affine[(c + j) * 2]"),
    ("gpu", "conv", "conv_gpu.cl", "column >= 0 && column < width;", "column < width;"),
    ("gpu", "conv", "conv_gpu.cl", "tap / 3 - 1;", "tap / 3;"),
]


def every():
    """Yields (name, way, operator, file, text, instead) for each fault and each of its ways."""
    for ways, operator, file, text, instead in SPOILT:
        for way in ways.split():
            yield f"{way} {file}: {text!r} -> {instead!r}", way, operator, file, text, instead


def run(ditcl, folder, way, operator, emulator):
    """The first line of check that reports an error. None if check passes."""
    options, features = WAYS[way]
    environment = dict(os.environ, DITCL_CL_DIR=str(folder))
    if features:
        environment["DITCL_FEATURES"] = features
    if way.startswith("tiles"):
        environment["LD_PRELOAD"] = emulator
    process = subprocess.Popen([ditcl, "check", operator, *options], env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stdout:
        if " ok\n" not in line and ", seed " in line:
            process.kill()
            process.communicate()
            return line.strip()
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"check ends with {process.returncode}: {errors.strip()}")
    return None


def draw(ditcl, folder, way, emulator, out):
    """(exit code, latents or None, bytes of the picture, stderr) of ditcl sample."""
    options, features = WAYS[way]
    environment = dict(os.environ, DITCL_FIRST_USE="on", XDG_CACHE_HOME=f"{out}/cache")
    if folder:
        environment["DITCL_CL_DIR"] = str(folder)
    if features:
        environment["DITCL_FEATURES"] = features
    if way.startswith("tiles"):
        environment["LD_PRELOAD"] = emulator
    done = subprocess.run([ditcl, "sample", MODEL, "--class", "1", "--steps", "2", "-q", "--out",
                           f"{out}/x.png", "--latents-out", f"{out}/x.npy", *options],
                          env=environment, text=True, stderr=subprocess.PIPE)
    png = pathlib.Path(f"{out}/x.png")
    values = array.array("f", pathlib.Path(f"{out}/x.npy").read_bytes()[128:]) if png.exists() else None
    return done.returncode, values, png.read_bytes() if png.exists() else b"", done.stderr.strip()


RIGHT = {}


def sample(ditcl, folder, way, emulator):
    """The message of sample, or that its latents are right. None if they are wrong."""
    with tempfile.TemporaryDirectory() as out:
        if way not in RIGHT:
            RIGHT[way] = draw(ditcl, None, way, emulator, out)
            if RIGHT[way][0]:
                raise RuntimeError(RIGHT[way][3])
            shutil.rmtree(out)
            os.mkdir(out)
        code, values, _, said = draw(ditcl, folder, way, emulator, out)
    if code:
        return said.splitlines()[0]
    off = sum((a - b) ** 2 for a, b in zip(values, RIGHT[way][1]))
    size = sum(b * b for b in RIGHT[way][1])
    return "draws the same" if off <= 1e-4 ** 2 * size else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ditcl")
    parser.add_argument("--emulator")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--some", type=int)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("names", nargs="*")
    given = parser.parse_intermixed_args()
    chosen = [s for s in every() if not given.names or any(n in s[0] for n in given.names)]
    if not given.emulator:
        chosen = [s for s in chosen if not s[1].startswith("tiles")]
        print("*** SKIPPED: kernels for AMX tiles: no --emulator ***")
    if given.some is not None:
        seed = test_seed() if given.seed is None else given.seed
        print(f"seed {seed}")
        chosen = random.Random(seed).sample(chosen, min(given.some, len(chosen)))
    wrong = 0
    for name, way, operator, file, text, instead in chosen:
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "cl"
            shutil.copytree(KERNELS, copy)
            source = (copy / file).read_text()
            if source.count(text) != 1:
                print(f"STALE: the text is in the kernel {source.count(text)} times, expected once: {name}")
                wrong += 1
                continue
            (copy / file).write_text(source.replace(text, instead))
            try:
                found = (sample(given.ditcl, copy, way, given.emulator) if given.sample
                         else run(given.ditcl, copy, way, operator, given.emulator))
            except RuntimeError as error:
                print(f"BROKEN: {name}: {error}", flush=True)
                wrong += 1
                continue
        print(f"{'found' if found else 'NOT FOUND'}: {name}"
              f"{': ' + found if given.sample and found else ''}", flush=True)
        wrong += not found
    print(f"{len(chosen)} spoilt kernels, {wrong} not found")
    return wrong > 0


sys.exit(main())
