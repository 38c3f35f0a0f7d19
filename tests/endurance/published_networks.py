"""Compares every published network with its reference vectors, also a training step in float64. Run it by hand:

PYTHONPATH=.:tests:tests/networks XLA_FLAGS=--xla_backend_optimization_level=0 \
    python tests/endurance/published_networks.py [NAME …]

About 25 minutes on two cores for all of them. The script prints the error of the heatmaps, and stops at a state dict
that is not written as it was read, and at a training step that differs by more than 1e-6.
"""

import sys
import time

from published import check_state_dict, check_training_step, heatmap_error

NETWORKS = {  # name of the reference: fields that switch off what is random in training
    "resnet152": {"unroll": 1},
    "hrnet_w32": {},
    "hrnet_w48": {},
    "hrformer_b": {"drop_path": 0.0},
    "hrformer_b_mm": {"drop_path": 0.0},
    "transpose_h_a6": {"dropout": 0.0},
    "tokenpose_l_d24": {},
    "swin_b": {"drop_path": 0.0},
    "swin_b_fpn": {"drop_path": 0.0},
}


def main() -> None:
    for name in sys.argv[1:] or NETWORKS:
        start = time.perf_counter()
        check_state_dict(name)
        print(f"{name:16} heatmaps {heatmap_error(name):.1e}", end="", flush=True)
        check_training_step(name, **NETWORKS[name])
        print(f"   training step equal   {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
