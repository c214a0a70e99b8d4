"""Puts files into Azurite with Microsoft's own client for Blob Storage, and prints the query that lets its holder list and read the container.

    azurite.py URL CONTAINER PATH FILE [PATH FILE]…
"""

import datetime
import json
import sys

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

url, container, *files = sys.argv[1:]
account, key = "devstoreaccount1", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

service = BlobServiceClient(account_url=url, credential=key, api_version="2021-12-02")
client = service.create_container(container)
for path, file in zip(files[::2], files[1::2]):
    with open(file, "rb") as content:
        client.upload_blob(path, content.read(), max_concurrency=1)
permission = ContainerSasPermissions(read=True, list=True)
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
sas = generate_container_sas(account, container, account_key=key, permission=permission, expiry=until)
print(json.dumps({"sas": sas, "md5": all(blob.content_settings.content_md5 for blob in client.list_blobs())}))
