"""How alike two images are: PSNR, SSIM, MS-SSIM and LPIPS."""

from flowface_jax.evaluation.images.lpips import LpipsNetwork, lpips
from flowface_jax.evaluation.images.lpips_weights import load_lpips
from flowface_jax.evaluation.images.psnr import psnr
from flowface_jax.evaluation.images.ssim import ms_ssim, ssim

__all__ = ["LpipsNetwork", "load_lpips", "lpips", "ms_ssim", "psnr", "ssim"]
