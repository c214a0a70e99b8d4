//! The types of W&B's schema, as far as its clients' operations tell them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::graphql::{Node, Out, of_json};
use super::world::{Artifact, Key, Member, World, blob_of, id_of, key};
use super::{ENTITY, ORG_ENTITY, ORGANISATION};

pub(crate) type Shared = Arc<Mutex<World>>;

/// What the server can do that older ones cannot.
const FEATURES: [&str; 9] = [
    "CLIENT_IDS",
    "ARTIFACT_TAGS",
    "ARTIFACT_REGISTRY_SEARCH",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
];

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(from: &Map<String, Value>, name: &str) -> String {
    from.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn null() -> Out {
    Out::Leaf(Value::Null)
}

fn leaf(value: impl Into<Value>) -> Out {
    Out::Leaf(value.into())
}

fn or_null(node: Option<Node>) -> Out {
    node.map_or_else(null, Out::Object)
}

/// A page of a list, whose cursors are places in it. What comes with a node stands beside it.
fn connection(all: Vec<(Value, Node)>, arguments: &Map<String, Value>) -> Out {
    let total = all.len();
    let from: usize = text(arguments, "after").parse().unwrap_or(0);
    let first = arguments.get("first").and_then(Value::as_u64).unwrap_or(50) as usize;
    let end = (from + first).min(total);
    let edges = all.into_iter().skip(from).take(first);
    let edges: Vec<(Value, Node)> = edges.collect();
    Out::Object(Node::new("Connection", move |name, _| {
        Some(Ok(match name {
            "totalCount" => leaf(total),
            "pageInfo" => of_json(json!({
                "__typename": "PageInfo", "endCursor": end.to_string(), "hasNextPage": end < total,
            })),
            "edges" => Out::List(
                edges
                    .iter()
                    .map(|(edge, node)| {
                        let (edge, node) = (edge.clone(), node.clone());
                        Out::Object(Node::new("Edge", move |name, _| match name {
                            "node" => Some(Ok(Out::Object(node.clone()))),
                            "cursor" => Some(Ok(leaf(""))),
                            name => Some(Ok(of_json(edge.get(name)?.clone()))),
                        }))
                    })
                    .collect(),
            ),
            _ => return None,
        }))
    }))
}

fn entity_json(name: &str) -> Value {
    let organisation = json!({
        "__typename": "Organization", "name": ORGANISATION, "orgEntity": { "__typename": "Entity", "name": ORG_ENTITY },
        "featureFlags": [], "coreWeaveOrganizationId": null,
    });
    json!({
        "__typename": "Entity", "id": format!("entity-{name}"), "name": name, "xxhashDigestsEnabled": false,
        "organization": organisation, "user": null, "isTeam": true, "settings": {}, "claimingEntity": null,
        "readOnly": false, "defaultAccess": "PRIVATE",
    })
}

fn project_json(at: (&str, &str)) -> Value {
    json!({
        "__typename": "Project", "id": format!("project-{}-{}", at.0, at.1), "internalId": "7", "name": at.1,
        "entity": { "__typename": "Entity", "id": format!("entity-{}", at.0), "name": at.0 }, "readOnly": false,
        "isPublished": null, "entityName": at.0,
    })
}

pub(crate) fn query(world: &Shared) -> Node {
    let world = Arc::clone(world);
    Node::new("Query", move |name, with| {
        Some(Ok(match name {
            "viewer" => of_json(json!({
                "__typename": "User", "id": "user-1", "entity": ENTITY, "username": "ada", "name": "Ada",
                "email": "ada@example.org", "flags": "{}", "admin": false, "accountType": "MEMBER",
                "teams": { "edges": [{ "node": { "name": ENTITY } }] }, "capabilities": [],
                "apiKeys": { "edges": [] },
            })),
            "serverInfo" => {
                let features = FEATURES.map(|name| json!({ "name": name, "isEnabled": true }));
                of_json(json!({
                    "__typename": "ServerInfo", "features": features,
                    "cliVersionInfo": { "max_cli_version": "99.0.0" }, "latestLocalVersionInfo": null,
                }))
            }
            "entity" => of_json(entity_json(&text(with, "name"))),
            "organization" => of_json(entity_json(ORG_ENTITY)["organization"].clone()),
            "project" | "model" => {
                let (entity, name) = (text(with, "entityName"), text(with, "name"));
                let entity = if entity.is_empty() { ENTITY.to_owned() } else { entity };
                let known = lock(&world).has_project(&entity, &name);
                or_null(known.then(|| project(&world, &entity, &name)))
            }
            "artifact" => {
                let found = lock(&world).artifact(&text(with, "id"));
                or_null(found.map(|found| artifact(&world, found)))
            }
            "artifactCollection" => {
                let wanted = text(with, "id");
                let found = lock(&world).collections.keys().find(|at| collection_id(at) == wanted).cloned();
                or_null(found.map(|at| collection(&world, &at)))
            }
            "clientIDMapping" => {
                let client = text(with, "clientID");
                let found = lock(&world).artifacts.iter().position(|one| one.client == client);
                found.map_or_else(null, |found| of_json(json!({ "serverID": id_of(found) })))
            }
            _ => return None,
        }))
    })
}

fn project(world: &Shared, entity: &str, name: &str) -> Node {
    let (world, entity, project) = (Arc::clone(world), entity.to_owned(), name.to_owned());
    Node::new("Project", move |name, with| {
        let of = |name: &str| key(&entity, &project, name);
        let named = text(with, "name");
        Some(Ok(match name {
            "artifactType" => {
                let inner = (Arc::clone(&world), entity.clone(), project.clone());
                let known = lock(&world).collections.iter().any(|(at, one)| {
                    (at.0.as_str(), at.1.as_str()) == (&entity, &project) && one.kind == named
                });
                or_null(known.then(|| {
                    Node::new("ArtifactType", move |name, with| {
                        Some(Ok(match name {
                            "name" => leaf(named.clone()),
                            "artifactCollection" => {
                                let at = key(&inner.1, &inner.2, &text(with, "name"));
                                let is =
                                    lock(&inner.0).collections.get(&at).is_some_and(|one| one.kind == named);
                                or_null(is.then(|| collection(&inner.0, &at)))
                            }
                            _ => return None,
                        }))
                    })
                }))
            }
            "artifactCollection" => {
                let known = lock(&world).collections.contains_key(&of(&named));
                or_null(known.then(|| collection(&world, &of(&named))))
            }
            "artifactCollectionMembership" | "artifact" => {
                let (at, version) = named.split_once(':').unwrap_or((&named, "latest"));
                let found = lock(&world).member(&of(at), version);
                if name == "artifact" {
                    or_null(found.map(|found| artifact(&world, found.artifact)))
                } else {
                    or_null(found.map(|found| membership(&world, &found)))
                }
            }
            "run" | "bucket" => {
                let known = lock(&world).runs.contains_key(&of(&named));
                or_null(known.then(|| run(&world, &of(&named))))
            }
            name => of_json(project_json((&entity, &project)).get(name)?.clone()),
        }))
    })
}

fn collection_id(at: &Key) -> String {
    format!("collection-{}-{}-{}", at.0, at.1, at.2)
}

fn collection(world: &Shared, at: &Key) -> Node {
    let (world, at) = (Arc::clone(world), at.clone());
    let known = lock(&world).collections.get(&at).cloned();
    let linked = known.as_ref().is_some_and(|known| known.linked);
    Node::new(if linked { "ArtifactPortfolio" } else { "ArtifactSequence" }, move |name, with| {
        let known = known.as_ref()?;
        Some(Ok(match name {
            "id" => leaf(collection_id(&at)),
            "name" => leaf(at.2.clone()),
            "description" => null(),
            "createdAt" | "updatedAt" => leaf(known.created_at.clone()),
            "digestAlgorithm" => leaf("MANIFEST_MD5"),
            "state" => leaf("READY"),
            "project" => Out::Object(project(&world, &at.0, &at.1)),
            "defaultArtifactType" | "artifactType" => of_json(json!({ "name": known.kind })),
            "tags" => of_json(json!({ "edges": [] })),
            "aliases" => {
                let world = lock(&world);
                let of = world.aliases.iter().filter(|((of, _), _)| *of == at);
                let all = of.map(|((_, alias), artifact)| (json!({}), alias_node(alias, *artifact)));
                connection(all.collect(), with)
            }
            "latestArtifact" => {
                let latest = lock(&world).members_of(&at).last().map(|member| member.artifact);
                or_null(latest.map(|latest| artifact(&world, latest)))
            }
            "artifactMembership" => {
                let found = lock(&world).member(&at, &text(with, "aliasName"));
                or_null(found.map(|found| membership(&world, &found)))
            }
            "artifacts" => {
                let members = lock(&world).members_of(&at);
                let all = members.iter().map(|member| {
                    (json!({ "version": format!("v{}", member.index) }), artifact(&world, member.artifact))
                });
                connection(all.collect(), with)
            }
            _ => return None,
        }))
    })
}

fn alias_node(alias: &str, artifact: usize) -> Node {
    Node::plain(json!({
        "__typename": "ArtifactAlias", "id": format!("alias-{artifact}-{alias}"), "alias": alias,
    }))
}

fn membership(world: &Shared, member: &Member) -> Node {
    let (world, member) = (Arc::clone(world), member.clone());
    Node::new("ArtifactCollectionMembership", move |name, with| {
        Some(Ok(match name {
            "id" => leaf(format!("{}-{}", collection_id(&member.at), member.index)),
            "versionIndex" => leaf(member.index),
            "createdAt" => leaf(member.created_at.clone()),
            "aliases" => {
                let aliases = lock(&world).aliases_of(&member.at, member.artifact);
                let all = aliases.iter().map(|alias| Out::Object(alias_node(alias, member.artifact)));
                Out::List(all.collect())
            }
            "artifactCollection" => Out::Object(collection(&world, &member.at)),
            "artifact" => Out::Object(artifact(&world, member.artifact)),
            "files" => files(&world, member.artifact, with),
            _ => return None,
        }))
    })
}

fn files(world: &Shared, artifact: usize, with: &Map<String, Value>) -> Out {
    let world = lock(world);
    let names: Option<Vec<&str>> = with
        .get("names")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect());
    let of = &world.artifacts[artifact];
    let wanted =
        of.files.iter().filter(|(path, _)| names.as_ref().is_none_or(|names| names.contains(&path.as_str())));
    let all = wanted.map(|(path, (blob, size, md5))| {
        let url = world.signed(blob);
        let node = Node::plain(json!({
            "__typename": "File", "id": blob, "name": path, "displayName": path, "url": url, "directUrl": url,
            "sizeBytes": size, "storagePath": blob, "mimetype": null, "updatedAt": of.created_at, "digest": md5,
            "md5": md5,
        }));
        (json!({}), node)
    });
    connection(all.collect(), with)
}

fn artifact(world: &Shared, number: usize) -> Node {
    let world = Arc::clone(world);
    Node::new("Artifact", move |name, with| {
        let known: Artifact = lock(&world).artifacts[number].clone();
        Some(Ok(match name {
            "id" => leaf(id_of(number)),
            "artifactSequence" => Out::Object(collection(&world, &known.sequence)),
            "versionIndex" => leaf(lock(&world).index_in_sequence(number)),
            "artifactType" => of_json(json!({ "name": known.kind })),
            "description" => leaf(known.description.clone()),
            "metadata" => leaf(known.metadata.clone()),
            "ttlDurationSeconds" => leaf(-2),
            "ttlIsInherited" => leaf(true),
            "tags" => of_json(
                known
                    .tags
                    .iter()
                    .map(|tag| json!({ "__typename": "Tag", "id": format!("tag-{tag}"), "name": tag }))
                    .collect(),
            ),
            "historyStep" => null(),
            "state" => leaf(known.state.clone()),
            "size" => leaf(known.files.values().map(|(_, size, _)| size).sum::<u64>().to_string()),
            "digest" => leaf(known.digest.clone()),
            "digestAlgorithm" => leaf("MANIFEST_MD5"),
            "commitHash" => leaf(format!("commit-{number}")),
            "fileCount" => leaf(known.files.len()),
            "createdAt" | "updatedAt" => leaf(known.created_at.clone()),
            "aliases" => {
                let ats: Vec<(Key, String)> = {
                    let world = lock(&world);
                    let of = world.aliases.iter().filter(|(_, pointed)| **pointed == number);
                    of.map(|(at, _)| at.clone()).collect()
                };
                let all = ats.into_iter().map(|(at, alias)| {
                    let world = Arc::clone(&world);
                    Out::Object(Node::new("ArtifactAlias", move |name, _| {
                        Some(Ok(match name {
                            "id" => leaf(format!("alias-{number}-{alias}")),
                            "alias" => leaf(alias.clone()),
                            "artifactCollection" => Out::Object(collection(&world, &at)),
                            _ => return None,
                        }))
                    }))
                });
                Out::List(all.collect())
            }
            "currentManifest" => {
                let world = lock(&world);
                known.manifest.as_ref().map_or_else(null, |at| {
                    of_json(json!({
                        "__typename": "ArtifactManifest", "id": manifest_id(number),
                        "file": { "__typename": "File", "directUrl": world.signed(at) },
                    }))
                })
            }
            "createdBy" => or_null(known.run.map(|at| run(&world, &at))),
            "usedBy" => {
                let using: Vec<Key> = {
                    let world = lock(&world);
                    world
                        .runs
                        .iter()
                        .filter(|(_, run)| run.used.contains(&number))
                        .map(|(at, _)| at.clone())
                        .collect()
                };
                connection(using.iter().map(|at| (json!({}), run(&world, at))).collect(), with)
            }
            "artifactMemberships" => {
                let members: Vec<Member> =
                    lock(&world).members.iter().filter(|one| one.artifact == number).cloned().collect();
                connection(members.iter().map(|one| (json!({}), membership(&world, one))).collect(), with)
            }
            "files" => files(&world, number, with),
            _ => return None,
        }))
    })
}

fn run(world: &Shared, at: &Key) -> Node {
    let (world, at) = (Arc::clone(world), at.clone());
    Node::new("Run", move |name, with| {
        let known = lock(&world).runs.get(&at).cloned().unwrap_or_default();
        Some(Ok(match name {
            "project" => Out::Object(project(&world, &at.0, &at.1)),
            "inputArtifacts" => {
                let all = known.used.iter().map(|number| (json!({}), artifact(&world, *number)));
                connection(all.collect(), with)
            }
            "outputArtifacts" => {
                let made: Vec<usize> = {
                    let world = lock(&world);
                    (0..world.artifacts.len())
                        .filter(|one| world.artifacts[*one].run.as_ref() == Some(&at))
                        .collect()
                };
                connection(made.iter().map(|number| (json!({}), artifact(&world, *number))).collect(), with)
            }
            name => {
                let plain = json!({
                    "id": format!("run-{}", at.2), "name": at.2, "displayName": known.display, "config": known.config,
                    "commit": known.commit, "summaryMetrics": known.summary, "systemMetrics": "{}",
                    "state": known.state, "sweepName": null, "tags": [], "group": null, "jobType": null,
                    "readOnly": false, "createdAt": "2026-11-01T00:00:00Z", "heartbeatAt": "2026-11-01T00:00:00Z",
                    "description": "", "notes": "", "historyLineCount": 0, "user": null, "historyKeys": null,
                    "projectId": "7", "logLineCount": 0, "eventsLineCount": 0, "historyTail": null,
                    "eventsTail": null, "wandbConfig": null, "stopped": false,
                });
                of_json(plain.get(name)?.clone())
            }
        }))
    })
}

fn manifest_id(artifact: usize) -> String {
    format!("manifest-{artifact}")
}

fn upload(world: &World, blob: &str) -> Value {
    json!({ "id": blob, "uploadUrl": world.signed(blob), "uploadHeaders": [] })
}

pub(crate) fn mutation(world: &Shared) -> Node {
    let world = Arc::clone(world);
    Node::new("Mutation", move |name, with| {
        let input = with.get("input").cloned().unwrap_or_default();
        let of = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |name: &str| input.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let named = || lock(&world).artifact(&of("artifactID")).ok_or_else(|| "unknown artifact".to_owned());
        let success = |done: Result<(), String>| done.map(|()| of_json(json!({ "success": true })));
        let with_artifact = |kind: &'static str, number: usize| {
            let world = Arc::clone(&world);
            Out::Object(Node::new(kind, move |name, _| {
                (name == "artifact").then(|| Ok(Out::Object(artifact(&world, number))))
            }))
        };
        Some(match name {
            "upsertBucket" => {
                let at = lock(&world).upsert_run(&input);
                let world = Arc::clone(&world);
                Ok(Out::Object(Node::new("UpsertBucketPayload", move |name, _| {
                    Some(Ok(match name {
                        "bucket" => Out::Object(run(&world, &at)),
                        "inserted" => leaf(true),
                        _ => return None,
                    }))
                })))
            }
            "createArtifact" => {
                let number = lock(&world).create_artifact(&input);
                Ok(with_artifact("CreateArtifactPayload", number))
            }
            "createArtifactManifest" => named().map(|number| {
                let mut world = lock(&world);
                let blob = format!("manifest/{number}");
                world.artifacts[number].manifest = Some(blob.clone());
                of_json(json!({ "artifactManifest": { "id": manifest_id(number), "file": upload(&world, &blob) } }))
            }),
            "updateArtifactManifest" => {
                let world = lock(&world);
                let blob = of("artifactManifestID").replacen('-', "/", 1);
                Ok(of_json(json!({
                    "artifactManifest": { "id": of("artifactManifestID"), "file": upload(&world, &blob) },
                })))
            }
            "createArtifactFiles" => {
                let world = lock(&world);
                let edges = list("artifactFiles").into_iter().map(|file| {
                    let md5 = file["md5"].as_str().unwrap_or_default();
                    let blob = blob_of(md5)?;
                    let mut node = upload(&world, &blob);
                    node["storagePath"] = blob.into();
                    node["uploadMultipartUrls"] = Value::Null;
                    node["artifact"] = json!({ "id": file["artifactID"] });
                    Ok(json!({ "node": node }))
                });
                let edges: Result<Vec<Value>, String> = edges.collect();
                edges.map(|edges| of_json(json!({ "files": { "edges": edges } })))
            }
            "commitArtifact" => named().and_then(|number| {
                lock(&world).commit(number)?;
                Ok(with_artifact("CommitArtifactPayload", number))
            }),
            "useArtifact" => named().map(|number| {
                let at = key(&of("entityName"), &of("projectName"), &of("runName"));
                let mut locked = lock(&world);
                let used = &mut locked.runs.entry(at).or_default().used;
                if !used.contains(&number) {
                    used.push(number);
                }
                drop(locked);
                with_artifact("UseArtifactPayload", number)
            }),
            "addAliases" => {
                let number = named();
                success(number.and_then(|number| lock(&world).add_aliases(number, &list("aliases"))))
            }
            "deleteAliases" => {
                let number = named();
                success(number.and_then(|number| lock(&world).delete_aliases(number, &list("aliases"))))
            }
            "updateArtifact" => named().map(|number| {
                lock(&world).update(number, &input);
                with_artifact("UpdateArtifactPayload", number)
            }),
            "deleteArtifact" => named().map(|number| {
                lock(&world).delete(number);
                with_artifact("DeleteArtifactPayload", number)
            }),
            "linkArtifact" => {
                let linked = lock(&world).link(&input);
                linked.map(|(at, index, _)| {
                    let member = lock(&world).member(&at, &format!("v{index}"));
                    let world = Arc::clone(&world);
                    Out::Object(Node::new("LinkArtifactPayload", move |name, _| {
                        Some(Ok(match name {
                            "versionIndex" => leaf(index),
                            "artifactMembership" => {
                                or_null(member.as_ref().map(|member| membership(&world, member)))
                            }
                            _ => return None,
                        }))
                    }))
                })
            }
            "createRunFiles" => {
                let world = lock(&world);
                let files: Vec<Value> = list("files")
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|name| json!({ "name": name, "uploadUrl": world.signed(&format!("run/{name}")) }))
                    .collect();
                Ok(of_json(json!({ "runID": "run", "uploadHeaders": [], "files": files })))
            }
            "markRunFilesUploaded" => success(Ok(())),
            _ => return None,
        })
    })
}
