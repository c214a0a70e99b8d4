// Azure's own client, for the suite: `fill CONNECTION CONTAINER FOLDER PREFIX` makes the container, uploads all files of a folder and prints a SAS; `read CONNECTION
// CONTAINER NAME` prints a blob.
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");
const azure = createRequire(path.join(process.env.RIPCORD_TEST_AZURITE, "x.js"))("@azure/storage-blob");

const [what, connection, name, ...rest] = process.argv.slice(2);
const container = azure.BlobServiceClient.fromConnectionString(connection).getContainerClient(name);

function* files(folder) {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
        const at = path.join(folder, entry.name);
        if (entry.isDirectory()) yield* files(at);
        else yield at;
    }
}

async function main() {
    if (what === "fill") {
        const [folder, prefix] = rest;
        await container.create();
        for (const file of files(folder)) {
            await container.getBlockBlobClient(prefix + path.relative(folder, file)).uploadFile(file);
        }
        const permissions = azure.ContainerSASPermissions.parse("rlcw");
        const url = await container.generateSasUrl({ permissions, expiresOn: new Date(Date.now() + 3_600_000) });
        process.stdout.write(new URL(url).search.slice(1));
    } else {
        process.stdout.write(await container.getBlobClient(rest[0]).downloadToBuffer());
    }
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
