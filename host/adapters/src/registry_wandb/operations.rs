//! The GraphQL operations. W&B publishes no schema: these are operations that its own client sends, with the fields that are read here, and no others.
//! `tests/wandb` holds each against the operation of the same name in the client.

/// One operation: its name, and its document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) document: &'static str,
}

/// A page of a collection's versions.
pub(super) const VERSIONS: Operation = Operation {
    name: "ProjectArtifacts",
    document: "query ProjectArtifacts($entity: String!, $project: String!, $type: String!, $collection: String!, $cursor: String, $perPage: Int, $filters: JSONString) {
  project(entityName: $entity, name: $project) {
    artifactType(name: $type) {
      artifactCollection(name: $collection) {
        __typename
        artifacts(after: $cursor, first: $perPage, filters: $filters) {
          pageInfo { endCursor hasNextPage }
          edges {
            version
            node {
              id
              artifactSequence { name project { name entity { name } } }
              versionIndex
              artifactType { name }
              metadata
              tags { name }
              state
              createdAt
              aliases { alias artifactCollection { name project { name entity { name } } } }
            }
          }
        }
      }
    }
  }
}",
};

/// Whether there is such a collection.
pub(super) const COLLECTION: Operation = Operation {
    name: "ProjectArtifactCollection",
    document: "query ProjectArtifactCollection($entity: String!, $project: String!, $type: String!, $name: String!) {
  project(entityName: $entity, name: $project) {
    artifactType(name: $type) {
      artifactCollection(name: $name) { __typename name }
    }
  }
}",
};

/// One version by its name or by an alias, as a member of the collection.
pub(super) const MEMBERSHIP: Operation = Operation {
    name: "ArtifactMembershipByName",
    document: "query ArtifactMembershipByName($entity: String!, $project: String!, $name: String!) {
  project(name: $project, entityName: $entity) {
    artifactCollectionMembership(name: $name) {
      versionIndex
      createdAt
      aliases { alias }
      artifactCollection { __typename name project { name entity { name } } }
      artifact {
        id
        artifactSequence { name project { name entity { name } } }
        versionIndex
        artifactType { name }
        metadata
        tags { name }
        state
        createdAt
      }
    }
  }
}",
};

/// Where the manifest of an artifact lies.
pub(super) const MANIFEST: Operation = Operation {
    name: "FetchArtifactManifest",
    document: "query FetchArtifactManifest($id: ID!) {
  artifact(id: $id) {
    currentManifest { file { directUrl } }
  }
}",
};

/// A page of signed addresses of a version's files.
pub(super) const FILES: Operation = Operation {
    name: "GetArtifactMembershipFileUrls",
    document: "query GetArtifactMembershipFileUrls($entity: String!, $project: String!, $collection: String!, $alias: String!, $cursor: String, $perPage: Int) {
  project(name: $project, entityName: $entity) {
    artifactCollection(name: $collection) {
      artifactMembership(aliasName: $alias) {
        files(after: $cursor, first: $perPage) {
          pageInfo { endCursor hasNextPage }
          edges { node { name directUrl } }
        }
      }
    }
  }
}",
};

/// Which run logged an artifact.
pub(super) const CREATED_BY: Operation = Operation {
    name: "ArtifactCreatedBy",
    document: "query ArtifactCreatedBy($id: ID!) {
  artifact(id: $id) {
    createdBy {
      __typename
      ... on Run { name project { name entity { name } } }
    }
  }
}",
};

/// A run.
pub(super) const RUN: Operation = Operation {
    name: "Run",
    document: "query Run($project: String!, $entity: String!, $name: String!) {
  project(name: $project, entityName: $entity) {
    run(name: $name) { name config commit }
  }
}",
};

/// A page of what a run used.
pub(super) const USED: Operation = Operation {
    name: "RunInputArtifacts",
    document: "query RunInputArtifacts($entity: String!, $project: String!, $run: String!, $cursor: String, $perPage: Int) {
  project(entityName: $entity, name: $project) {
    run(name: $run) {
      artifacts: inputArtifacts(after: $cursor, first: $perPage) {
        pageInfo { endCursor hasNextPage }
        edges {
          node {
            artifactSequence { name project { name entity { name } } }
            versionIndex
            artifactType { name }
          }
        }
      }
    }
  }
}",
};

/// Points aliases of a collection at an artifact.
pub(super) const ADD_ALIASES: Operation = Operation {
    name: "AddAliases",
    document: "mutation AddAliases($input: AddAliasesInput!) {
  result: addAliases(input: $input) { success }
}",
};

/// Changes the tags of an artifact.
pub(super) const UPDATE: Operation = Operation {
    name: "UpdateArtifact",
    document: "mutation UpdateArtifact($input: UpdateArtifactInput!) {
  result: updateArtifact(input: $input) {
    artifact { id tags { name } }
  }
}",
};
