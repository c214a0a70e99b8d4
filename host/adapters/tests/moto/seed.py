"""Makes what the suite needs in a moto server that checks rights from its eighth call on: a bucket, a user that may fill it, and one that may read what lies
below `fraud/` in it. Prints the two keys as JSON."""
import json
import sys

import boto3

URL = sys.argv[1]


def client(service):
    return boto3.client(service, endpoint_url=URL, region_name="us-east-1", aws_access_key_id="seed", aws_secret_access_key="seed")


def user(name, statements):
    iam = client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


client("s3").create_bucket(Bucket="training")
everything = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]
# As the adapter's page says.
least = [
    {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::training",
    },
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::training/fraud/*"},
]
print(json.dumps({"fills": user("trainer", everything), "reads": user("ripcord", least)}))
