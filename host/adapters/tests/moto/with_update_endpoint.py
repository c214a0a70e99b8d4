"""Moto's server with `UpdateEndpoint`, which moto 5.2.5 does not have: this part is ours, a few lines on moto's own store. It is done at once, and changes nothing but
the configuration: that an update takes time, fails and is taken back is tested against a server of our own."""
import json
import sys

from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import FakeEndpoint
from moto.sagemaker.responses import SageMakerResponse
from moto.server import main


def update_endpoint(self):
    asked, store = json.loads(self.body), self.sagemaker_backend
    name = asked["EndpointName"]
    if name not in store.endpoints:
        arn = FakeEndpoint.arn_formatter(name, store.account_id, store.region_name)
        raise ValidationError(message=f"Could not find endpoint '{arn}'.")
    old = store.endpoints[name]
    new = store.create_endpoint(name, asked["EndpointConfigName"], old.tags)
    new.creation_time, new.last_modified_time = old.creation_time, utcnow()
    return json.dumps({"EndpointArn": new.arn})


SageMakerResponse.update_endpoint = update_endpoint
main(sys.argv[1:])
