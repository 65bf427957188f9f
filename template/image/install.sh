#!/bin/sh
# Adds the packages of a lock to /opt/venv: install.sh LOCK [LOCK-OF-BUILD-TOOLS]. The Dockerfile calls it.
# What it writes is the same each time, byte by byte. So the layer changes with the lock alone, and a registry and a
# machine keep one copy of it for all commits.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=${VENV-/opt/venv} # the benchmark of the size has another
before=$(mktemp) # what is newer than this file is what the layer adds
export UV_CACHE_DIR="${UV_CACHE_DIR-/tmp/cache}" UV_LINK_MODE=copy UV_NO_INSTALLER_METADATA=1 UV_PYTHON_DOWNLOADS=never
# Behind a proxy with a certificate of its own: docker build --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
if [ -f /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi

[ -d "$venv" ] || "$here/uv" venv --quiet --python "${UV_PYTHON-$(command -v python3)}" "$venv"
"$here/uv" pip install --quiet --no-deps --python "$venv/bin/python" --require-hashes --build-constraints "${2-$1}" \
  --requirement "$1"

# A quarter of what serving installs is never imported: numpy's tests, onnxruntime's tools, and its library for other
# languages, a second copy of what its Python module holds.
cd "$venv"/lib/python3*/site-packages
rm -rf numpy/tests numpy/*/tests numpy/distutils onnxruntime/capi/libonnxruntime.so.* \
  onnxruntime/datasets onnxruntime/quantization onnxruntime/tools onnxruntime/transformers

# Compiled here, since nothing can be written when it runs. Python does not compare such a file with its source, which
# cannot change. One process, in the order of the names: what it writes depends on both. It ends with 1 when a file does
# not compile: none of the locks does so today, and a package may ship one that is not meant to, such as a template.
find "$venv" -name '*.py' -cnewer "$before" | LC_ALL=C sort |
  PYTHONHASHSEED=0 "$venv/bin/python" -m compileall -qq --invalidation-mode unchecked-hash -i - || [ $? = 1 ]
find "$venv" -cnewer "$before" -exec touch --no-dereference --date=@315532800 {} +
rm "$before"
