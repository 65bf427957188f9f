# A key that must not be destroyed could not be cleaned up after an apply, so the identity is known while planning.
mock_provider "google" {
  mock_resource "google_service_account" {
    override_during = plan
    defaults        = { email = "nodes@contoso.iam", member = "serviceAccount:nodes@contoso.iam" }
  }
}

variables {
  name            = "contoso-mlops"
  project_id      = "contoso-platform"
  region          = "europe-west1"
  network_id      = "network"
  nodes_subnet_id = "subnet"
  registry_id     = "registry"
  admin_cidrs     = { vpn = "10.8.0.0/24" }
  security_group  = "gke-security-groups@contoso.example"
}

run "private_with_identities_for_people_and_pods" {
  command = plan

  assert {
    condition     = google_container_cluster.this.private_cluster_config[0].enable_private_nodes && google_container_cluster.this.private_cluster_config[0].enable_private_endpoint
    error_message = "The API or a node has a public address."
  }

  assert {
    condition     = google_container_node_pool.this.node_config[0].shielded_instance_config[0].enable_secure_boot && google_container_cluster.this.enable_shielded_nodes && !google_container_cluster.this.master_auth[0].client_certificate_config[0].issue_client_certificate
    error_message = "A node boots what it is given, or somebody holds a certificate that nobody can take back."
  }

  assert {
    condition     = google_container_cluster.this.remove_default_node_pool && google_container_node_pool.this.management[0].auto_upgrade
    error_message = "Nodes have the default identity, or stay at a version with known holes."
  }

  assert {
    condition     = output.workload_pool == "contoso-platform.svc.id.goog" && google_container_node_pool.this.node_config[0].workload_metadata_config[0].mode == "GKE_METADATA"
    error_message = "Pods have no identities of their own, or get the node's."
  }

  assert {
    condition     = google_container_node_pool.this.node_config[0].service_account == "nodes@contoso.iam"
    error_message = "The nodes act as the default identity, which may edit the whole project."
  }

  assert {
    condition     = google_project_iam_member.nodes.role == "roles/container.defaultNodeServiceAccount" && google_artifact_registry_repository_iam_member.pull.role == "roles/artifactregistry.reader"
    error_message = "The nodes may do more than write logs and metrics and pull images."
  }

  assert {
    condition     = google_container_cluster.this.datapath_provider == "ADVANCED_DATAPATH" && google_container_cluster.this.database_encryption[0].state == "ENCRYPTED"
    error_message = "Nothing enforces network policies, or secrets are written in the clear."
  }

  assert {
    condition     = google_container_cluster.this.deletion_protection
    error_message = "One command would delete the cluster."
  }
}

run "a_name_in_capitals" {
  command = plan

  variables {
    name = "Contoso"
  }

  expect_failures = [var.name]
}

run "a_project_by_its_number" {
  command = plan

  variables {
    project_id = "123456789012"
  }

  expect_failures = [var.project_id]
}

run "a_zone_as_a_region" {
  command = plan

  variables {
    region = "europe-west1-b"
  }

  expect_failures = [var.region]
}

run "the_whole_internet" {
  command = plan

  variables {
    admin_cidrs = { all = "0.0.0.0/0" }
  }

  expect_failures = [var.admin_cidrs]
}

run "another_group" {
  command = plan

  variables {
    security_group = "admins@contoso.example"
  }

  expect_failures = [var.security_group]
}

run "a_zone_without_a_node" {
  command = plan

  variables {
    node_count = { min = 0, max = 2 }
  }

  expect_failures = [var.node_count]
}
