"""What others of the group do and see, with AWS's own client: `describe N`, `approve N`, `tags`, `endpoint NAME`, `fill COUNT`, `replace KEY TEXT`, `delete KEY`."""
import json
import sys

import boto3

URL, ID, SECRET, DO, *ARGUMENTS = sys.argv[1:]
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package"


def client(service):
    return boto3.client(service, endpoint_url=URL, region_name="eu-west-1", aws_access_key_id=ID, aws_secret_access_key=SECRET)


sagemaker, s3 = client("sagemaker"), client("s3")
if DO == "describe":
    package = sagemaker.describe_model_package(ModelPackageName=f"{ARN}/fraud/{ARGUMENTS[0]}")
    print(json.dumps({key: package.get(key) for key in ("ModelApprovalStatus", "ApprovalDescription", "CustomerMetadataProperties")}))
elif DO == "approve":
    now = sagemaker.describe_model_package(ModelPackageName=f"{ARN}/fraud/{ARGUMENTS[0]}")
    sagemaker.update_model_package(
        ModelPackageArn=now["ModelPackageArn"],
        ModelApprovalStatus="Approved",
        ApprovalDescription="by Ada",
        CustomerMetadataProperties=now.get("CustomerMetadataProperties", {}),
    )
elif DO == "tags":
    print(json.dumps(sagemaker.list_tags(ResourceArn=f"{ARN}-group/fraud")["Tags"]))
elif DO == "endpoint":
    seen = sagemaker.describe_endpoint(EndpointName=ARGUMENTS[0])
    configuration = sagemaker.describe_endpoint_config(EndpointConfigName=seen["EndpointConfigName"])
    models = [sagemaker.describe_model(ModelName=variant["ModelName"]) for variant in configuration["ProductionVariants"]]
    print(json.dumps({
        "EndpointConfigName": seen["EndpointConfigName"],
        "Capture": configuration.get("DataCaptureConfig", {}).get("DestinationS3Uri"),
        "Packages": [model["PrimaryContainer"]["ModelPackageName"] for model in models],
        "Environment": models[0]["PrimaryContainer"].get("Environment"),
        "Network": models[0].get("VpcConfig"),
    }))
elif DO == "fill":
    for _ in range(int(ARGUMENTS[0])):
        container = {"Image": "x", "ModelDataUrl": "s3://models/fraud/1/model.tar.gz"}
        kinds = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
        sagemaker.create_model_package(ModelPackageGroupName="fraud", InferenceSpecification={"Containers": [container], **kinds})
elif DO == "replace":
    s3.put_object(Bucket="models", Key=ARGUMENTS[0], Body=ARGUMENTS[1].encode())
elif DO == "delete":
    s3.delete_object(Bucket="models", Key=ARGUMENTS[0])
else:
    sys.exit(f"there is no {DO}")
