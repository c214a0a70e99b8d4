"""Makes what the suite needs in a moto server that checks signatures and rights from its seventh call on: a user that may do everything, one that has the
policy of the adapter's page, and, as the first, a model package group with three versions, models of them, and the endpoint `fraud`, which serves the third by a
configuration that captures data; `canary` has a variant for each of the first two. Prints the two keys as JSON."""
import json
import sys

import boto3

URL, POLICY = sys.argv[1], sys.argv[2]
REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/SageMaker"


def client(service, key=("seed", "seed")):
    return boto3.client(service, endpoint_url=URL, region_name=REGION, aws_access_key_id=key[0], aws_secret_access_key=key[1])


def user(name, policy):
    iam = client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sagemaker:*"], "Resource": "*"}]}
fills, reads = user("trainer", json.dumps(everything)), user("ripcord", POLICY)
sagemaker = client("sagemaker", (fills["id"], fills["secret"]))
sagemaker.create_model_package_group(ModelPackageGroupName="fraud")
for number in (1, 2, 3):
    container = {"Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sklearn:1", "ModelDataUrl": f"s3://models/fraud/{number}/model.tar.gz"}
    kinds = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    package = sagemaker.create_model_package(
        ModelPackageGroupName="fraud", ModelApprovalStatus="Approved", InferenceSpecification={"Containers": [container], **kinds}
    )["ModelPackageArn"]
    primary = {"ModelPackageName": package, "Environment": {"LOG": "debug"}}
    network = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    sagemaker.create_model(ModelName=f"fraud-{number}", ExecutionRoleArn=ROLE, PrimaryContainer=primary, VpcConfig=network)


def variant(name, number, weight):
    return {
        "VariantName": name, "ModelName": f"fraud-{number}", "InitialInstanceCount": 2, "InstanceType": "ml.m5.large",
        "InitialVariantWeight": weight,
    }


capture = {
    "EnableCapture": True, "InitialSamplingPercentage": 10, "DestinationS3Uri": "s3://captured/fraud",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}
sagemaker.create_endpoint_config(EndpointConfigName="fraud-3", ProductionVariants=[variant("all", 3, 1.0)], DataCaptureConfig=capture)
sagemaker.create_endpoint(EndpointName="fraud", EndpointConfigName="fraud-3")
both = [variant("stable", 1, 1.0), variant("canary", 2, 0.0)]
sagemaker.create_endpoint_config(EndpointConfigName="canary-1", ProductionVariants=both)
sagemaker.create_endpoint(EndpointName="canary", EndpointConfigName="canary-1")
print(json.dumps({"fills": fills, "reads": reads}))
