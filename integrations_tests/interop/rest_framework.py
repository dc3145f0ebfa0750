"""The orders as Django REST framework lists them: by page, by offset and by its signed cursor.

Imported by Django once its settings are there (`apps.rest_framework`).
"""

from django.db import models
from django.urls import path
from rest_framework import generics, pagination, serializers
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission

from integrations_tests.interop.apps import USER, WORD
from integrations_tests.interop.shop import PAGE


class Order(models.Model):
    number = models.TextField(primary_key=True)
    seq = models.IntegerField()
    placed_at = models.TextField()
    buyer = models.TextField(null=True)
    total = models.TextField()

    class Meta:
        app_label = "interop"
        db_table = "orders"
        managed = False


class Orders(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = "__all__"


class Password(BasicAuthentication):
    def authenticate_credentials(self, userid, password, request=None):
        if (userid, password) != (USER, WORD):
            raise AuthenticationFailed("Invalid username/password.")
        return userid, None


class LoggedIn(BasePermission):
    def has_permission(self, request, view):
        return bool(request.user)


class ByPage(pagination.PageNumberPagination):
    page_size_query_param = "size"
    max_page_size = PAGE


class ByOffset(pagination.LimitOffsetPagination):
    max_limit = PAGE


class ByCursor(pagination.CursorPagination):
    page_size = PAGE
    ordering = "placed_at"


class View(generics.ListAPIView):
    queryset = Order.objects.order_by("seq")
    serializer_class = Orders
    authentication_classes = (Password,)
    permission_classes = (LoggedIn,)


urlpatterns = [
    path("pages", View.as_view(pagination_class=ByPage)),
    path("offsets", View.as_view(pagination_class=ByOffset)),
    path("cursors", View.as_view(pagination_class=ByCursor)),
]
