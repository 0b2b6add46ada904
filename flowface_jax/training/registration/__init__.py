"""Registration of textured scans: a head model's topology laid onto scans that come without (paper, appendix D.1)."""

from flowface_jax.training.registration.config import RegistrationConfig
from flowface_jax.training.registration.job import register_scans
from flowface_jax.training.registration.propagation import Flow, dis_flow
from flowface_jax.training.registration.subject import Registered, register_expression, register_neutral

__all__ = [
    "Flow",
    "Registered",
    "RegistrationConfig",
    "dis_flow",
    "register_expression",
    "register_neutral",
    "register_scans",
]
