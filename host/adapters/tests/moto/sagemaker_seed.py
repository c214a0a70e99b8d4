"""Makes what the suite needs in a moto server that checks signatures and rights from its seventh call on: a user that may do everything, one that has the
policy of the adapter's page, and, as the first, a model package group with three versions, the middle one made by a training job. Prints the two keys as JSON."""
import json
import sys

import boto3

URL, POLICY = sys.argv[1], sys.argv[2]
REGION = "eu-west-1"


def client(service, key=("seed", "seed")):
    return boto3.client(service, endpoint_url=URL, region_name=REGION, aws_access_key_id=key[0], aws_secret_access_key=key[1])


def user(name, policy):
    iam = client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", "sagemaker:*"], "Resource": "*"}]}
fills, reads = user("trainer", json.dumps(everything)), user("ripcord", POLICY)

own = (fills["id"], fills["secret"])
s3, sagemaker = client("s3", own), client("sagemaker", own)
s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION})
sagemaker.create_model_package_group(ModelPackageGroupName="fraud", ModelPackageGroupDescription="of the tests")
job = sagemaker.create_training_job(
    TrainingJobName="train-2",
    HyperParameters={"depth": "4", "loss": "mse"},
    AlgorithmSpecification={"TrainingImage": "xgboost", "TrainingInputMode": "File"},
    RoleArn="arn:aws:iam::123456789012:role/SageMaker",
    InputDataConfig=[
        {"ChannelName": channel, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://data/{channel}/"}}}
        for channel in ("validation", "train")
    ],
    OutputDataConfig={"S3OutputPath": "s3://models/out"},
    ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    StoppingCondition={"MaxRuntimeInSeconds": 60},
)["TrainingJobArn"]
image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sklearn:1"
etag = s3.put_object(Bucket="models", Key="fraud/1/model.tar.gz", Body=b"1\n")["ETag"]
s3.put_object(Bucket="models", Key="fraud/2/model.txt", Body=b"2\n")
s3.put_object(Bucket="models", Key="fraud/2/weights/0.bin", Body=bytes(1000))
s3.put_object(Bucket="models", Key="fraud/2/", Body=b"")
s3.put_object(Bucket="models", Key="fraud/3/model.tar.gz", Body=b"3" * 100_000)
containers = [
    {"Image": image, "ModelDataUrl": "s3://models/fraud/1/model.tar.gz", "ModelDataETag": etag.strip('"')},
    {"Image": image, "ModelDataSource": {"S3DataSource": {"S3Uri": "s3://models/fraud/2/", "S3DataType": "S3Prefix", "CompressionType": "None"}}},
    {"Image": image, "ModelDataUrl": "s3://models/fraud/3/model.tar.gz"},
]
more = [
    {"ModelApprovalStatus": "Approved", "CustomerMetadataProperties": {"team": "payments"}},
    {
        "ModelApprovalStatus": "Approved",
        "MetadataProperties": {"CommitId": "abc123", "Repository": "https://git.example/fraud", "GeneratedBy": job, "ProjectId": "p-1"},
        "SourceAlgorithmSpecification": {
            "SourceAlgorithms": [{"AlgorithmName": "arn:aws:sagemaker:eu-west-1:123456789012:model-package/fraud/1"}]
        },
    },
    {"ModelApprovalStatus": "PendingManualApproval"},
]
for container, further in zip(containers, more):
    kinds = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    sagemaker.create_model_package(ModelPackageGroupName="fraud", InferenceSpecification={"Containers": [container], **kinds}, **further)
print(json.dumps({"fills": fills, "reads": reads}))
