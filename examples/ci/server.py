"""A model server in a few lines, which answers by the Open Inference Protocol with the model that was loaded last: a stand-in for your own."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

loaded = json.loads(open(sys.argv[2], encoding="utf-8").read())


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        global loaded
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path == "/load":
            loaded = json.loads(body)
            return self.answer({"loaded": loaded["version"]})
        if self.path != "/v2/models/fraud/infer":
            return self.answer({"error": "not here"}, 404)
        score = {"name": "score", "datatype": "FP64", "shape": [1], "data": [loaded["score"]]}
        return self.answer({"model_name": "fraud", "model_version": loaded["version"], "outputs": [score]})

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
