"""Samplers: Metropolis chains, enumeration, and how far to trust them."""

from neurho.sampling.base import AbstractSampler as AbstractSampler
from neurho.sampling.base import Draw as Draw
from neurho.sampling.base import DrawInfo as DrawInfo
from neurho.sampling.blur import Blurred as Blurred
from neurho.sampling.diagnostics import autocorrelation_time as autocorrelation_time
from neurho.sampling.diagnostics import effective_sample_size as effective_sample_size
from neurho.sampling.diagnostics import split_r_hat as split_r_hat
from neurho.sampling.drawing import blank_draw as blank_draw
from neurho.sampling.drawing import draw_samples as draw_samples
from neurho.sampling.enumeration import Enumeration as Enumeration
from neurho.sampling.enumeration import enumerate_all as enumerate_all
from neurho.sampling.enumeration import enumerate_diagonal as enumerate_diagonal
from neurho.sampling.metropolis import Metropolis as Metropolis
from neurho.sampling.metropolis import metropolis as metropolis
from neurho.sampling.metropolis import metropolis_diagonal as metropolis_diagonal
from neurho.sampling.moves import Moves as Moves
from neurho.sampling.start import start_chains as start_chains
from neurho.sampling.tuning import START as START
from neurho.sampling.tuning import Automatic as Automatic
from neurho.sampling.tuning import Tuning as Tuning
from neurho.sampling.tuning import Worth as Worth
from neurho.sampling.tuning import named_tuning as named_tuning
from neurho.sampling.tuning import retuned as retuned
from neurho.sampling.tuning import tuned as tuned
from neurho.sampling.tuning import tuning_of as tuning_of
