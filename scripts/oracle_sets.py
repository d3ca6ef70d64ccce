"""The models and cases of oracle_models.py: (specification, what to compute) pairs."""


def dit(name, layout, width, heads, depth, patch, size, classes, dtype, vae, learned=True, **more):
    return {"name": name, "layout": layout, "width": width, "heads": heads, "depth": depth,
            "patch": patch, "size": size, "classes": classes, "dtype": dtype, "vae": vae,
            "learned": learned, **more}


def vae(channels, layers, groups, dtype, **more):
    return {"channels": channels, "layers": layers, "groups": groups, "dtype": dtype, **more}


# ---- small: the committed models; every path once, about 1.2 MB ----

def small_separate(m):
    m.forward(430, [2, 4])
    m.decode(1, 8, 8)
    m.sample([0, 3])
    m.sample([1], n=2, seed=5, eta=0.7, cfg=1.0)
    m.sample([4, 2], seed=11, sampler="ddpm", cfg=2.0, cfg_channels=3)
    m.sample("all", seed=12345678901, sampler="ddpm", cfg=1.0)
    m.sample([2], seed=3, eta=0.7, cfg=3.0, latents_in=True)
    m.sample([0, 3], seed=8, sampler="ddpm", compat="original")
    m.sample([3], n=2, seed=9, eta=0.7, cfg=1.5, cfg_channels=4, compat="original")
    m.sample([0, 3], seed=21, sampler="dpm", cfg=3.0)
    m.sample([1, 4], seed=22, sampler="euler", cfg=2.0)
    m.sample([2], seed=23, sampler="heun", cfg=2.0)
    m.sample([2], seed=24, sampler="heun", cfg=1.0, latents_in=True, steps="6")
    m.sample([2], cfg=1.0, latents_in=True, invert=True)
    m.sample([0, 3], n=2, seed=25, sampler="ddpm", cfg=4.0, interval=(200, 700))


def small_original(m):
    m.forward(999, [0, 2])
    m.decode(2, 8, 8)
    m.sample([0, 1], sampler="ddpm")
    m.sample([2], n=2, seed=1, sampler="ddpm", cfg=1.0)
    m.sample([1, 0], seed=2, cfg=2.5, cfg_channels=4)
    m.sample([2], seed=3, steps="ddim10", eta=0.7, cfg=1.5)
    m.sample([1], seed=4, sampler="ddpm", cfg=3.0, latents_in=True)
    m.sample([0, 2], seed=5, compat="diffusers")
    m.sample([1], seed=6, sampler="ddpm", cfg=2.0, compat="diffusers")
    m.sample([1, 2], seed=7, sampler="ddpm", steps="2,3,5")
    m.sample([0], seed=8, sampler="dpm", cfg=2.0)
    m.sample([1], cfg=1.5, latents_in=True, invert=True)
    m.sample([0, 1], seed=9, sampler="sde", cfg=1.5, sit={})
    m.sample([2], seed=10, sampler="euler", cfg=4.0, interval=(0.25, 0.8), sit={})
    m.sample([1], seed=11, sampler="heun", cfg=1.5,
             sit={"path_type": "VP", "prediction": "noise"})


def small_plain(m):
    m.forward(0, [6, 0])
    m.decode(1, 6, 10)
    m.sample([6, 0], cfg=2.0)
    m.sample([3], n=2, seed=1, sampler="ddpm", cfg=1.0)
    m.sample([5], seed=2, sampler="ddpm", cfg=4.0, cfg_channels=3)
    m.sample([1], seed=3, sampler="ddpm", cfg=1.5, compat="original")


def small_design(m):
    last = m.spec["classes"] - 1
    m.forward(321, [last, 0, 1])
    m.sample([1, 0], sampler="ddpm" if m.spec["learned"] else "ddim", cfg=2.0)


def small_sit(m):
    m.sample([1, 3], seed=1, sampler="sde", cfg=1.5, diffusion="decreasing")
    m.sample([2], n=2, seed=2, sampler="heun", cfg=1.0)
    m.sample([0], seed=3, sampler="euler", cfg=4.0, cfg_channels=4)
    m.sample([0], sampler="heun", cfg=1.0, latents_in=True, invert=True)


def small():
    yield dit("separate48", "diffusers", 48, 2, 2, 2, 8, 5, "f16",
              vae((8, 16), 1, 4, "f16", encoder=True), separate=True,
              labels=["cat, kitty", "dog", "red apple, apple", "car", "tree"],
              scheduler={"_class_name": "DDPMScheduler", "variance_type": "learned_range"}), \
        small_separate
    yield dit("original64", "original", 64, 1, 2, 4, 16, 3, "bf16",
              vae((32,), 1, 32, "f16", bare=True)), small_original
    yield dit("plain32", "diffusers", 32, 2, 1, 2, 8, 7, "f32",
              vae((4, 8, 8), 1, 4, "f32", old_names=True,
                  config={"scaling_factor": 0.3}), learned=False,
              scheduler={"clip_sample": True, "clip_sample_range": 2.0,
                         "timestep_spacing": "trailing", "beta_schedule": "scaled_linear",
                         "beta_start": 0.00085, "beta_end": 0.012}), small_plain
    yield dit("adaln40", "original", 40, 5, 2, 2, 8, 4, "f16", vae((4,), 1, 2, "f16"),
              design="adaLN"), small_design
    yield dit("cross36", "original", 36, 3, 2, 2, 6, 3, "bf16", vae((4,), 1, 2, "f16"),
              design="cross-attention"), small_design
    yield dit("context52", "original", 52, 4, 2, 2, 10, 3, "f16", vae((4,), 1, 2, "f16"),
              learned=False, design="in-context"), small_design
    yield dit("sit24", "diffusers", 24, 2, 2, 2, 8, 4, "f16",
              vae((4,), 1, 4, "f16"),
              scheduler={"_class_name": "SiT", "path_type": "GVP", "prediction": "velocity"}), \
        small_sit


# ---- big: the battery ----

def usual(m, original=True):
    last = m.spec["classes"] - 1
    own = "diffusers" if m.original else "original"
    m.forward(250, [last, 0])
    m.decode(1, 8, 12)
    m.sample([0, last])
    m.sample([0, last], n=2, seed=1, sampler="ddpm", cfg=1.0)
    m.sample([1], n=3, seed=2, sampler="ddpm", cfg=2.0)
    m.sample([last], n=2, seed=3, eta=0.7, cfg=1.5, cfg_channels=3)
    m.sample([3], seed=4, eta=1.0, cfg=1.0, latents_in=True)
    m.sample([2], seed=5, sampler="ddpm", cfg=7.0, cfg_channels=4, steps="7")
    if original:
        m.sample([1, 2], seed=6, compat=own)
        m.sample([1, 2], seed=7, sampler="ddpm", cfg=1.25, compat=own)
        m.sample([5], seed=8, eta=0.3, cfg=2.0, compat=own)
    if m.original:
        m.sample([4], n=2, seed=9, steps="ddim10", cfg=3.0)
        m.sample([4], n=2, seed=10, steps="ddim8", sampler="ddpm", cfg=3.0)
    else:
        m.sample([4], n=2, seed=9, steps="1", cfg=3.0)
        m.sample([4], seed=10, steps="13", cfg=0.5)


def no_original(m):
    usual(m, original=False)


SD = (32, 64, 128, 128)


def big():
    yield dit("w144", "diffusers", 144, 2, 3, 2, 16, 1000, "f32",
              vae(SD, 2, 32, "f32", encoder=True)), usual
    yield dit("w200", "diffusers", 200, 4, 3, 4, 32, 7, "f16",
              vae((16, 32, 32), 2, 8, "f16", encoder=True), separate=True,
              scheduler={"_class_name": "DDPMScheduler", "variance_type": "learned_range"}), usual
    yield dit("w216", "diffusers", 216, 3, 2, 8, 64, 7, "bf16",
              vae(SD, 2, 16, "bf16", old_names=True), separate=True,
              scheduler={"timestep_spacing": "trailing"}), usual
    yield dit("w288", "diffusers", 288, 4, 2, 2, 32, 20, "f32",
              vae((24, 48), 1, 12, "f32", config={"use_quant_conv": False,
                                                  "use_post_quant_conv": False}),
              scheduler={"timestep_spacing": "linspace",
                         "prediction_type": "v_prediction"}), no_original
    yield dit("w1152", "diffusers", 1152, 16, 2, 2, 32, 1000, "f16", vae(SD, 2, 32, "f16")), usual
    yield dit("w80", "diffusers", 80, 2, 3, 4, 24, 9, "f32",
              vae((8, 12, 16, 16), 3, 4, "f32", config={"mid_block_add_attention": False}),
              scheduler={"clip_sample": True, "beta_schedule": "squaredcos_cap_v2"}), usual
    yield dit("w256", "diffusers", 256, 2, 2, 2, 20, 7, "bf16", vae((64,), 2, 32, "bf16"),
              transformer={"norm_eps": 1e-3, "_class_name": "Transformer2DModel"},
              scheduler={"beta_schedule": "scaled_linear", "beta_start": 0.00085,
                         "beta_end": 0.012, "steps_offset": 1, "set_alpha_to_one": False}), usual
    yield dit("w64", "diffusers", 64, 1, 4, 2, 18, 7, "f16", vae((32, 32), 2, 2, "f16"),
              scheduler={"prediction_type": "sample", "_class_name": "DDPMScheduler",
                         "variance_type": "fixed_small_log"}), usual
    yield dit("w96", "diffusers", 96, 8, 2, 2, 22, 11, "f32", vae((16, 16), 1, 1, "f32"),
              learned=False,
              scheduler={"_class_name": "DDPMScheduler", "variance_type": "fixed_large",
                         "num_train_timesteps": 500, "beta_end": 0.03, "clip_sample": True,
                         "clip_sample_range": 3.0}), usual
    yield dit("w36", "diffusers", 36, 4, 5, 8, 40, 6, "f32", vae((8,), 1, 8, "f32"),
              separate=True, learned=False,
              scheduler={"_class_name": "DDPMScheduler", "num_train_timesteps": 200,
                         "trained_betas": [0.0002 + 0.0001 * i for i in range(200)]}), no_original
    yield dit("o384", "original", 384, 6, 2, 2, 32, 1000, "f32",
              vae(SD, 2, 32, "f32", bare=True)), usual
    yield dit("o144", "original", 144, 2, 3, 4, 32, 7, "f16",
              vae((32, 64), 1, 32, "f16", bare=True, old_names=True)), usual
    yield dit("o200", "original", 200, 5, 2, 8, 64, 7, "bf16", vae((16, 24), 2, 8, "bf16"),
              learned=False), usual
    yield dit("o216", "original", 216, 3, 2, 2, 18, 30, "f32", vae((8, 16), 1, 8, "f32")), usual
    yield dit("o1152", "original", 1152, 16, 2, 2, 16, 1000, "bf16", vae(SD, 2, 32, "f32")), usual
    yield dit("a384", "original", 384, 6, 3, 2, 32, 1000, "f32", vae(SD, 2, 32, "f32", bare=True),
              design="adaLN"), usual
    yield dit("c384", "original", 384, 6, 3, 2, 32, 1000, "f32", vae((8, 16), 1, 8, "f32"),
              design="cross-attention"), usual
    yield dit("i384", "original", 384, 6, 3, 2, 32, 1000, "f32", vae((8, 16), 1, 8, "f32"),
              design="in-context"), usual
    yield dit("c140", "original", 140, 7, 2, 4, 28, 9, "f32", vae((8, 16), 1, 8, "f32"),
              learned=False, design="cross-attention"), usual
    yield dit("o100", "original", 100, 10, 2, 2, 16, 8, "f32", vae((8, 16), 1, 4, "f32")), usual
