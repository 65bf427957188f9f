"""The bundle's model behind LitServe."""

import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Model(litserve.LitAPI):
    """Scores a matrix of inputs."""

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[2], options)
        self.name = self.session.get_inputs()[0].name

    def decode_request(self, request: dict[str, Any]) -> Any:
        return np.array(request["inputs"], np.float32)

    def predict(self, inputs: Any) -> Any:
        return self.session.run(None, {self.name: inputs})[1][:, 1]

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
