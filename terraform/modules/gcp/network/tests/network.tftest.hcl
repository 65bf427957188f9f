mock_provider "google" {}

variables {
  name   = "contoso-mlops"
  region = "europe-west1"
}

run "each_part_has_its_own_addresses" {
  command = plan

  assert {
    condition     = google_compute_subnetwork.nodes.ip_cidr_range == "10.20.0.0/20" && google_compute_subnetwork.nodes.secondary_ip_range[1].ip_cidr_range == "10.20.16.0/20" && google_compute_global_address.services.address == "10.20.32.0"
    error_message = "The ranges overlap or moved: a subnet that moves is replaced with all that is in it."
  }

  assert {
    condition     = google_compute_subnetwork.nodes.private_ip_google_access && !google_compute_network.this.auto_create_subnetworks
    error_message = "Nodes reach storage over the internet, or subnets exist that nobody asked for."
  }
}

run "a_name_in_capitals" {
  command = plan

  variables {
    name = "Contoso"
  }

  expect_failures = [var.name]
}

run "a_zone_as_a_region" {
  command = plan

  variables {
    region = "europe-west1-b"
  }

  expect_failures = [var.region]
}

run "a_small_network" {
  command = plan

  variables {
    address_space = "10.20.0.0/24"
  }

  expect_failures = [var.address_space]
}

run "pods_in_the_network" {
  command = plan

  variables {
    pods_address_space = "10.20.0.0/16"
  }

  expect_failures = [var.pods_address_space]
}
