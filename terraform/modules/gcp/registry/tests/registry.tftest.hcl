mock_provider "google" {}

variables {
  name       = "contoso-mlops"
  project_id = "contoso-platform"
  region     = "europe-west1"
}

run "a_tag_stays_what_it_is" {
  command = plan

  assert {
    condition     = google_artifact_registry_repository.this.docker_config[0].immutable_tags && google_artifact_registry_repository.this.format == "DOCKER"
    error_message = "Another image could take the place of the one that was tested."
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

run "a_project_by_its_number" {
  command = plan

  variables {
    project_id = "123456789012"
  }

  expect_failures = [var.project_id]
}
