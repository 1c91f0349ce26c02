"""The stores as Dagster resources, chosen once per deployment from its settings."""

from dagster import ConfigurableResource, EnvVar, ResourceDependency
from pydantic import PrivateAttr

from reporting_pipeline.settings import Settings, SettingsError
from reporting_pipeline.stores.mongo import Database, open_database
from reporting_pipeline.stores.objects import ObjectStore, s3_client
from reporting_pipeline.stores.request_limit import SharedLimit, limit_requests


class MongoResource(ConfigurableResource[Database]):
    """The MongoDB database of the deployment."""

    uri: str
    database_name: str

    def database(self) -> Database:
        return open_database(self.uri, self.database_name)


class ObjectStoreResource(ConfigurableResource[ObjectStore]):
    """The deployment's S3 bucket; one client per process.

    Not dagster-aws's S3 resource: importing that package imports every AWS service it knows, half a second
    of each run's start, and its client would be configured apart from the API's.
    """

    endpoint_url: str | None = None
    region_name: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    bucket: str
    encryption: str = "AES256"
    kms_key_id: str | None = None
    mongo: ResourceDependency[MongoResource]
    requests_per_second: float | None = None

    _store: ObjectStore | None = PrivateAttr(default=None)

    def store(self) -> ObjectStore:
        if self._store is None:
            connection = {
                "endpoint_url": self.endpoint_url,
                "region_name": self.region_name,
                "aws_access_key_id": self.access_key_id,
                "aws_secret_access_key": self.secret_access_key,
            }
            client = s3_client(connection)
            if self.requests_per_second is not None:
                limit_requests(client, SharedLimit(self.mongo.database(), self.requests_per_second))
            self._store = ObjectStore(client, self.bucket, self.encryption, self.kms_key_id)
        return self._store


def build_resources(settings: Settings) -> dict[str, object]:
    """The resources of a deployment. Raises SettingsError when no server is named."""
    if settings.mongodb_uri is None:
        raise SettingsError(
            "MONGODB_URI is not set. Name a MongoDB server, or let `reporting-pipeline dev` or "
            "`reporting-pipeline demo` start the embedded ones."
        )
    # EnvVar keeps secrets out of the resource pages of Dagster's UI: they show the variable's name.
    mongo = MongoResource(uri=EnvVar("MONGODB_URI"), database_name=settings.mongodb_database)
    return {
        "mongo": mongo,
        "objects": ObjectStoreResource(
            endpoint_url=settings.s3_endpoint_url,
            region_name=settings.s3_region,
            access_key_id=EnvVar("AWS_ACCESS_KEY_ID") if settings.s3_access_key_id else None,
            secret_access_key=EnvVar("AWS_SECRET_ACCESS_KEY") if settings.s3_secret_access_key else None,
            bucket=settings.s3_bucket,
            encryption=settings.s3_encryption,
            kms_key_id=settings.s3_kms_key_id,
            mongo=mongo,
            requests_per_second=settings.s3_requests_per_second,
        ),
    }
