"""Samplers: Metropolis chains, enumeration, and how far to trust them."""

from neurho.matrix_elements.sampling.base import AbstractSampler as AbstractSampler
from neurho.matrix_elements.sampling.base import Draw as Draw
from neurho.matrix_elements.sampling.base import DrawInfo as DrawInfo
from neurho.matrix_elements.sampling.blur import Blurred as Blurred
from neurho.matrix_elements.sampling.diagnostics import autocorrelation_time as autocorrelation_time
from neurho.matrix_elements.sampling.diagnostics import effective_sample_size as effective_sample_size
from neurho.matrix_elements.sampling.diagnostics import split_r_hat as split_r_hat
from neurho.matrix_elements.sampling.drawing import blank_draw as blank_draw
from neurho.matrix_elements.sampling.drawing import draw_samples as draw_samples
from neurho.matrix_elements.sampling.enumeration import Enumeration as Enumeration
from neurho.matrix_elements.sampling.enumeration import enumerate_all as enumerate_all
from neurho.matrix_elements.sampling.enumeration import enumerate_diagonal as enumerate_diagonal
from neurho.matrix_elements.sampling.metropolis import Metropolis as Metropolis
from neurho.matrix_elements.sampling.metropolis import metropolis as metropolis
from neurho.matrix_elements.sampling.metropolis import metropolis_diagonal as metropolis_diagonal
from neurho.matrix_elements.sampling.moves import Moves as Moves
from neurho.matrix_elements.sampling.start import start_chains as start_chains
from neurho.matrix_elements.sampling.tuning import START as START
from neurho.matrix_elements.sampling.tuning import Automatic as Automatic
from neurho.matrix_elements.sampling.tuning import Tuning as Tuning
from neurho.matrix_elements.sampling.tuning import Worth as Worth
from neurho.matrix_elements.sampling.tuning import named_tuning as named_tuning
from neurho.matrix_elements.sampling.tuning import retuned as retuned
from neurho.matrix_elements.sampling.tuning import tuned as tuned
from neurho.matrix_elements.sampling.tuning import tuning_of as tuning_of
