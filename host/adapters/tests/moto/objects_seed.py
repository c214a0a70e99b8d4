"""Makes what the suite needs in a moto server that checks signatures and rights from its eighth call on: a bucket, a user that may fill it, and one that has
the policy of the adapter's page. Prints the two keys as JSON."""
import json
import sys

import boto3

URL, POLICY = sys.argv[1], sys.argv[2]


def client(service):
    return boto3.client(service, endpoint_url=URL, region_name="us-east-1", aws_access_key_id="seed", aws_secret_access_key="seed")


def user(name, policy):
    iam = client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


client("s3").create_bucket(Bucket="models")
everything = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
print(json.dumps({"fills": user("trainer", everything), "reads": user("ripcord", POLICY)}))
