"""The stores as Dagster resources, chosen once per deployment from its settings."""

from dagster import ConfigurableResource, EnvVar, ResourceDependency
from dagster_aws.s3 import S3Resource
from pydantic import PrivateAttr

from reporting_pipeline.settings import Settings, SettingsError
from reporting_pipeline.stores.mongo import Database, open_database
from reporting_pipeline.stores.objects import ObjectStore


class MongoResource(ConfigurableResource[Database]):
    """The MongoDB database of the deployment."""

    uri: str
    database_name: str

    def database(self) -> Database:
        return open_database(self.uri, self.database_name)


class ObjectStoreResource(ConfigurableResource[ObjectStore]):
    """The deployment's S3 bucket, through Dagster's own S3 resource; one client per process."""

    s3: ResourceDependency[S3Resource]
    bucket: str
    encryption: str = "AES256"
    kms_key_id: str | None = None

    _store: ObjectStore | None = PrivateAttr(default=None)

    def store(self) -> ObjectStore:
        if self._store is None:
            self._store = ObjectStore(self.s3.get_client(), self.bucket, self.encryption, self.kms_key_id)
        return self._store


def build_resources(settings: Settings) -> dict[str, object]:
    """The resources of a deployment. Raises SettingsError when no server is named."""
    if settings.mongodb_uri is None:
        raise SettingsError(
            "MONGODB_URI is not set. Name a MongoDB server, or let `reporting-pipeline dev` or "
            "`reporting-pipeline demo` start the embedded ones."
        )
    # EnvVar keeps secrets out of the resource pages of Dagster's UI: they show the variable's name.
    s3 = S3Resource(
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=EnvVar("AWS_ACCESS_KEY_ID") if settings.s3_access_key_id else None,
        aws_secret_access_key=EnvVar("AWS_SECRET_ACCESS_KEY") if settings.s3_secret_access_key else None,
        max_attempts=4,
    )
    return {
        "mongo": MongoResource(uri=EnvVar("MONGODB_URI"), database_name=settings.mongodb_database),
        "objects": ObjectStoreResource(
            s3=s3,
            bucket=settings.s3_bucket,
            encryption=settings.s3_encryption,
            kms_key_id=settings.s3_kms_key_id,
        ),
    }
