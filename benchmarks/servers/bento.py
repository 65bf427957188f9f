"""The bundle's model behind BentoML."""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Model:
    """Scores a matrix of inputs."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
        self.name = self.session.get_inputs()[0].name

    @bentoml.api
    async def predict(self, inputs: list[list[float]]) -> list[float]:
        return self.session.run(None, {self.name: np.array(inputs, np.float32)})[1][:, 1].tolist()
